"""Hostile and odd packages over the real way in: each gets its verdict, and nothing of it stays behind.

`PAC_MUTANTS_SENT` says how many mutants of good packages are uploaded, `PAC_MUTANTS_FIRST` from which seed on.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from pac.agentkit.apkg import verify
from pac.packages.checker import Checker
from pac.testkit.corpus import CORPUS, Case
from pac.testkit.corpus.bombs import BOMBS
from pac.testkit.descriptors import opened
from pac.testkit.eventually import eventually
from pac.testkit.mutants import mutant

from .harness import PATIENCE_SECONDS, Packages, Tenant

ODD = (*CORPUS[::8], *BOMBS)
AT_ONCE = 8
STANDARD_STREAMS = 3
CONNECTIONS = 26  # that the pools of Postgres and S3 keep at most
MUTANTS = int(os.environ.get("PAC_MUTANTS_SENT", "60"))
FIRST = int(os.environ.get("PAC_MUTANTS_FIRST", "0"))


async def wrongly_answered(packages: Packages, cases: Sequence[Case]) -> list[tuple[str, int, set[str]]]:
    """Of these uploads, those that were answered neither with 400 and exactly their faults nor with 201."""
    places = asyncio.Semaphore(AT_ONCE)

    async def sent(case: Case) -> tuple[str, int, set[str]] | None:
        async with places:
            answer = await packages.post(Tenant(), case.raw(), to="")
        found = {problem["code"] for problem in answer.body.get("problems", ())} - {"more_problems"}
        is_right = answer.status == (400 if case.codes else 201) and found == case.codes
        return None if is_right else (case.name, answer.status, found)

    return [wrong for wrong in await asyncio.gather(*map(sent, cases)) if wrong is not None]


async def test_each_of_a_slice_of_the_corpus_is_answered_as_it_should(packages: Packages) -> None:
    """Never a 5xx; and no temporary file, no object, no note, no event and no descriptor of it is left."""
    assert await wrongly_answered(packages, ODD[::2]) == []
    open_after_half = len(list(opened()))
    second_half = ODD[1::2]
    assert len(second_half) > CONNECTIONS, "else a descriptor of each could hide among connections that are kept"
    assert await wrongly_answered(packages, second_half) == []

    def is_left() -> bool:
        now = list(opened())
        return len(now) > open_after_half + CONNECTIONS or any(str(packages.temp_dir) in path for path in now)

    await eventually(lambda: not is_left(), seconds=PATIENCE_SECONDS)  # clients' connections end by themselves
    [checker] = [resource for resource in packages.running.service.resources if isinstance(resource, Checker)]
    workers = [psutil.Process(worker.process.pid) for worker in checker._all]
    assert {worker.num_fds() for worker in workers} == {STANDARD_STREAMS}
    await nothing_but(packages, ODD)


@pytest.mark.timeout(120 + 2 * MUTANTS)
async def test_mutants_of_good_packages_are_answered_as_they_should(packages: Packages, tmp_path: Path) -> None:
    path = tmp_path / "mutant.apkg"

    def looked_at(seed: int) -> Case:
        path.write_bytes(mutant(seed))
        codes = frozenset(problem.code for problem in verify(path).problems)
        return Case(f"mutant {seed}", path.read_bytes(), codes, frozenset())

    cases = [looked_at(seed) for seed in range(FIRST, FIRST + MUTANTS)]
    assert await wrongly_answered(packages, cases) == []
    await nothing_but(packages, cases)


async def nothing_but(packages: Packages, cases: Sequence[Case]) -> None:
    """Of uploads, what was accepted is there, and nothing else."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while packages.temporary():  # noqa: ASYNC110 - the server side ends by itself
            await asyncio.sleep(0.02)
    assert await packages.keys("staging/") == []
    assert await packages.rows("SELECT key FROM state.leftovers") == []
    [[events]] = await packages.rows("SELECT count(*) FROM log.events")
    assert events == sum(not case.codes for case in cases)
