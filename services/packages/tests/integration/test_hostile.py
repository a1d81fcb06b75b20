"""Hostile and odd packages over the real way in: each gets its verdict, and nothing of it stays behind."""

import asyncio
from collections.abc import Sequence

import psutil

from pac.packages.checker import Checker
from pac.testkit.corpus import CORPUS, Case
from pac.testkit.corpus.bombs import BOMBS

from .harness import PATIENCE_SECONDS, Packages, Tenant

ODD = (*CORPUS[::8], *BOMBS)
AT_ONCE = 8
STANDARD_STREAMS = 3


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
    service = psutil.Process()
    assert await wrongly_answered(packages, ODD[::2]) == []
    open_after_half = service.num_fds()
    assert await wrongly_answered(packages, ODD[1::2]) == []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while packages.temporary() or service.num_fds() > open_after_half:  # noqa: ASYNC110 - connections end by themselves
            await asyncio.sleep(0.02)
    [checker] = [resource for resource in packages.running.service.resources if isinstance(resource, Checker)]
    workers = [psutil.Process(worker.process.pid) for worker in checker._all]
    assert {worker.num_fds() for worker in workers} == {STANDARD_STREAMS}
    assert await packages.keys("staging/") == []
    assert await packages.rows("SELECT key FROM state.leftovers") == []
    [[events]] = await packages.rows("SELECT count(*) FROM log.events")
    assert events == sum(not case.codes for case in ODD)
