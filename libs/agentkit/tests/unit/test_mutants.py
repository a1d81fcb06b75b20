"""Whatever is done to a package's bytes: no exception; and what is accepted means the same to Python's zip library."""

import hashlib
import random
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pac.agentkit.apkg import verify

MUTANTS = 1500


def mutated(raw: bytes, seed: int) -> bytes:
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    data = bytearray(raw)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 3:
                del data[at : at + chance.randint(1, 8)]
            case 4:
                source = chance.randrange(len(data))
                data[at : at + 30] = data[source : source + 30]
        if not data:
            return b""
    return bytes(data)


@settings(max_examples=MUTANTS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_accepted_mutants_mean_the_same_to_another_reader(seed: int, craft: Any) -> None:
    raw = mutated(craft.good().add("src/data.bin", bytes(range(256)) * 4).add("src/more/", mode=0o40755).raw(), seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.apkg"
        path.write_bytes(raw)
        verification = verify(path)
        if not verification.accepted:
            return
        with zipfile.ZipFile(path) as archive:
            theirs = {
                info.filename: hashlib.sha256(archive.read(info)).hexdigest()
                for info in archive.infolist()
                if not info.is_dir()
            }
        assert theirs == {file.name: file.sha256 for file in verification.files}


def test_most_mutants_are_refused(craft: Any, tmp_path: Path) -> None:
    raw = craft.good().raw()
    path = tmp_path / "mutant.apkg"
    refused = 0
    for seed in range(200):
        path.write_bytes(mutated(raw, seed))
        refused += not verify(path).accepted
    assert refused > 150
