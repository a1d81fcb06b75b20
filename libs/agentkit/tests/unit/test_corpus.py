"""Every package of the corpus gets its verdict, within its time, and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pac.agentkit.apkg import inspect, verify
from pac.testkit.corpus import CORPUS, Case

Store = Callable[[bytes], Path]
BOUNDED = {"more_problems"}


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_the_corpus_is_large_and_its_cases_have_names_of_their_own() -> None:
    assert len(CORPUS) >= 150
    assert len({case.name for case in CORPUS}) == len(CORPUS)
    assert sum(not case.codes for case in CORPUS) >= 30


@pytest.mark.parametrize("case", CORPUS, ids=[case.name for case in CORPUS])
def test_each_package_gets_its_verdict(case: Case, stored: Store) -> None:
    path = stored(case.raw())
    open_before = descriptors()
    verification = verify(path)
    assert {problem.code for problem in verification.problems} - BOUNDED == case.codes
    assert {warning.code for warning in verification.inspection.warnings} == case.warnings
    assert descriptors() == open_before
    for problem in (*verification.problems, *verification.inspection.warnings):
        assert problem.message.isprintable()
        assert problem.entry is None or problem.entry.isprintable()


def test_names_out_of_a_key_without_quotes_are_not_told(stored: Store) -> None:
    for name in ("a key without quotes", "a key in quotes"):
        [found] = [case for case in CORPUS if case.name == name]
        assert inspect(stored(found.raw())).env_names == ("AFTER", "KEY")
