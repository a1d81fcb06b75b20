"""Whatever is accepted means the same to everybody: Python's zipfile, Debian's unzip, Go's archive/zip.

`PAC_MUTANTS` says how many mutants of good packages are made, `PAC_MUTANTS_FIRST` from which seed on.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pac.agentkit.apkg import verify
from pac.testkit.corpus import CORPUS
from pac.testkit.mutants import mutant

from .readers import Listing, Reader, by_go, by_python, by_unzip

MUTANTS = int(os.environ.get("PAC_MUTANTS", "600"))
FIRST = int(os.environ.get("PAC_MUTANTS_FIRST", "0"))
Accepted = dict[Path, Listing]

pytestmark = pytest.mark.timeout(120 + MUTANTS)


def accepted_of(folder: Path, packages: Iterable[tuple[str, Callable[[], bytes]]]) -> Accepted:
    """Those that are accepted, each with what the check says is in it."""
    found: Accepted = {}
    for name, make in packages:
        path = folder / f"{name}.apkg"
        path.write_bytes(make())
        verification = verify(path)
        if verification.accepted:
            found[path] = {file.name: file.sha256 for file in verification.files}
        else:
            path.unlink()
    return found


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Accepted:
    """All that is accepted of the corpus, and of the mutants."""
    folder = tmp_path_factory.mktemp("accepted")
    corpus = ((f"case-{number}", case.raw) for number, case in enumerate(CORPUS) if not case.codes)
    mutants = ((f"mutant-{seed}", lambda seed=seed: mutant(seed)) for seed in range(FIRST, FIRST + MUTANTS))
    return accepted_of(folder, corpus) | accepted_of(folder, mutants)


@pytest.mark.parametrize("reader", [by_python, by_unzip, by_go])
def test_what_is_accepted_means_the_same_to_another_reader(reader: Reader, accepted: Accepted) -> None:
    theirs = reader(list(accepted))
    differing = {
        path.name: (ours, other) for (path, ours), other in zip(accepted.items(), theirs, strict=True) if ours != other
    }
    assert differing == {}


def test_most_mutants_are_refused_and_some_are_not(accepted: Accepted) -> None:
    mutants = [path for path in accepted if path.name.startswith("mutant")]
    assert MUTANTS / 40 < len(mutants) < MUTANTS / 2
