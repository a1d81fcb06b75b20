"""Good packages with a few bytes changed: by a seed, so that each can be made again."""

import random

from pac.testkit.corpus import CORPUS, Case
from pac.testkit.crafted import FOLDER, STORED, Part, package

GROUND = package(
    Part("src/data.bin", bytes(range(256)) * 4),
    Part("src/stored.bin", b"0123456789" * 20, method=STORED),
    Part("src/more/", mode=FOLDER),
    Part("src/café.py", b"x = 1\n"),
).raw()
SMALLEST_BYTES, SMALL_BYTES = 64, 20_000
LISTED_SIGNATURE = b"PK\x01\x02"
SOUND: tuple[Case, ...] = tuple(case for case in CORPUS if not case.codes)


def mutant(seed: int) -> bytes:
    """One, two or three changes to a package that is accepted."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    data = bytearray(_ground(chance))
    for _ in range(chance.randint(1, 3)):
        _change(data, chance)
    return bytes(data)


def _ground(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return GROUND
    raw = chance.choice(SOUND).raw()
    return raw if len(raw) <= SMALL_BYTES else GROUND


def _change(data: bytearray, chance: random.Random) -> None:
    if len(data) < SMALLEST_BYTES:
        return
    at, source = chance.randrange(len(data)), chance.randrange(len(data))
    match chance.choice("bbiidcctttttffs"):
        case "b":
            data[at] ^= 1 << chance.randrange(8)
        case "i":
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        case "d":
            del data[at : at + chance.randint(1, 8)]
        case "c":
            data[at : at + 30] = data[source : source + 30]
        case "t":
            _change_twice(data, chance)
        case "f":
            field = chance.choice(_places(data, LISTED_SIGNATURE) or [0]) + chance.randrange(4, 46)
            if field < len(data):
                data[field] = _value(chance)
        case "s":
            data[at:at] = data[source : source + chance.randint(30, 200)]


def _change_twice(data: bytearray, chance: random.Random) -> None:
    """The same byte of both headers of an entry: so they still agree."""
    listed = chance.choice(_places(data, LISTED_SIGNATURE) or [0])
    own = int.from_bytes(data[listed + 42 : listed + 46], "little")
    field, value = chance.randrange(24), _value(chance)
    if max(listed + 6 + field, own + 4 + field) < len(data):
        data[listed + 6 + field] = data[own + 4 + field] = value


def _value(chance: random.Random) -> int:
    return chance.choice((0, 1, 2, 8, 0x10, 0x14, 0x2D, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _places(data: bytearray, signature: bytes) -> list[int]:
    return [at for at in range(len(data)) if data.startswith(signature, at)]
