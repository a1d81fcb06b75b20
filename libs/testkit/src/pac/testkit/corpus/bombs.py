"""Small files that would grow without end, or cost a lot to look at."""

import random
import struct
from collections.abc import Callable
from dataclasses import replace

from pac.testkit.corpus.case import Case, case
from pac.testkit.crafted import END, STORED, Part, Zip, package, repeated

MIB = 1024 * 1024


def huge(times: int, piece: bytes, **fields: int) -> Part:
    return Part("src/huge", packed=repeated(piece, times), fields={"size": times * len(piece), **fields})


def renamed(part: Part, count: int) -> list[Part]:
    return [replace(part, name=f"src/{number}") for number in range(count)]


def zeros(mebibytes: int, **fields: int) -> Zip:
    return package(huge(mebibytes, bytes(MIB), **fields))


def below_the_ratio() -> Zip:
    """Six files of 100 MiB, each a hundredth of that when packed."""
    noise = random.Random(1).randbytes(10_000)  # noqa: S311 - nothing secret
    return package(*renamed(huge(100, noise + bytes(MIB - len(noise))), 6))


def quoted(count: int) -> bytes:
    """Files that share one kernel: each quotes the header of the next as a stored block, and goes on with its data."""
    kernel = repeated(bytes(MIB), 8)
    first = Part("src/0", packed=kernel, fields={"size": 8 * MIB})
    placed, body, packed, size = [(first, 0)], first.header() + kernel, len(kernel), 8 * MIB
    for number in range(1, count):
        quote = len(placed[0][0].header())
        block = b"\0" + struct.pack("<HH", quote, quote ^ 0xFFFF)
        packed, size = packed + len(block) + quote, size + quote
        part = Part(f"src/{number}", fields={"crc": 0, "size": size, "packed": packed})
        front = part.header() + block
        placed = [(part, 0), *((one, at + len(front)) for one, at in placed)]
        body = front + body
    return finished(body, [part.record(at) for part, at in placed])


def finished(body: bytes, records: list[bytes]) -> bytes:
    listed, count = b"".join(records), len(records)
    return body + listed + END.pack(0x06054B50, 0, 0, count, count, len(listed), len(body), 0)


def same_bytes(count: int) -> bytes:
    """Many records, one header: the oldest of the tricks."""
    packed = repeated(bytes(MIB), 4)
    part = Part("src/x", packed=packed, fields={"size": 4 * MIB})
    return finished(part.header() + packed, [part.record(0)] * count)


def nested(levels: int, width: int = 1) -> bytes:
    """Archives in archives; the innermost holds one small file."""
    raw = Zip((Part("readme.txt", b"hello\n"),)).raw()
    for _ in range(levels):
        raw = Zip(tuple(Part(f"lib{number}.zip", raw) for number in range(width))).raw()
    return raw


def many_entries(count: int) -> Zip:
    return Zip(tuple(Part(f"x/{number}", method=STORED) for number in range(count)))


def inside(make: Callable[[], Zip | bytes], name: str = "src/inner.zip") -> Callable[[], Zip]:
    """A package with that archive in it."""

    def made() -> Zip:
        inner = make()
        return package(Part(name, inner.raw() if isinstance(inner, Zip) else inner, method=STORED))

    return made


BOMBS: tuple[Case, ...] = (
    case("ten mebibytes of nothing", lambda: zeros(10), "ratio"),
    case("half a gibibyte of nothing", lambda: zeros(512), "ratio", "unpacked_too_large"),
    case("four gibibytes of nothing", lambda: zeros(4095), "ratio", "unpacked_too_large"),
    case("half a gibibyte that says it is a byte", lambda: zeros(512, size=1), "size_wrong"),
    case("half a gibibyte that says it is one", lambda: zeros(512, size=MIB - 1), "size_wrong"),
    case("six that are too large together", below_the_ratio, "unpacked_too_large"),
    case(
        "a thousand that lie",
        lambda: package(*renamed(huge(8, bytes(MIB), size=1), 1000)),
        "size_wrong",
    ),
    case("more entries than allowed", lambda: package(*many_entries(10_000).parts), "too_many_entries"),
    case("headers that quote each other", lambda: quoted(9), *("overlap", "ratio", "manifest_missing", "env_missing")),
    case(
        "one header, a thousand entries",
        lambda: same_bytes(1000),
        *("overlap", "ratio", "duplicate_entry"),
        *("unpacked_too_large", "manifest_missing", "env_missing"),
    ),
    case(
        "names that are folders of folders",
        lambda: package(
            *(Part("/".join(f"{number:04x}{part:02x}" for part in range(60)), method=STORED) for number in range(6000))
        ),
        "too_many_folders",
    ),
    case(
        "names of 60 kB",
        lambda: package(*(Part("a/" * 30_000 + str(number)) for number in range(60))),
        *("name_long", "name_deep"),
    ),
    case(
        "three million extra fields",
        lambda: package(*(Part(f"src/{number}", extra=struct.pack("<HH", 1, 0) * 16_000) for number in range(60))),
        "extra_long",
    ),
    case(
        "ten thousand bad names",
        lambda: package(*(Part(f"../{number}\n", method=STORED) for number in range(9000))),
        "name_parent",
        "name_control",
    ),
    case(
        "empty blocks without end", lambda: package(Part("src/empty", packed=b"\0\0\0\xff\xff" * 4_000_000 + b"\x03\0"))
    ),
    case("an archive of nothing much", inside(lambda: nested(0))),
    case(
        "a wheel",
        inside(
            lambda: Zip((Part("pkg/__init__.py", b"x = 1\n"), Part("pkg-1.dist-info/WHEEL", b"1"))),
            "src/pkg-1-py3-none-any.whl",
        ),
    ),
    case("an archive in an archive", inside(lambda: nested(1))),
    case("an archive in an archive in an archive", inside(lambda: nested(2)), "inner_archive"),
    case("archives ten deep", inside(lambda: nested(10)), "inner_archive"),
    case("archives wide and deep", inside(lambda: nested(4, width=8)), "inner_archive"),
    case("four gibibytes in an archive", inside(lambda: zeros(4095)), "inner_archive"),
    case(
        "archives that are too large together",
        lambda: package(*(Part(f"src/{number}.zip", zeros(100).raw(), method=STORED) for number in range(6))),
        "inner_archive",
    ),
    case("quotes in an archive", inside(lambda: quoted(9)), "inner_archive"),
    case("too many entries in an archive", inside(lambda: many_entries(10_001)), "inner_archive"),
    case(
        "too many entries in archives",
        lambda: package(*(Part(f"src/{number}.zip", many_entries(4000).raw()) for number in range(3))),
        "inner_archive",
    ),
    case("an archive that is none", inside(lambda: b"PK\x03\x04" + bytes(100))),
    case("an encrypted archive", inside(lambda: Zip((Part("a", b"x", fields={"flags": 1}),)))),
    case("a damaged archive", inside(lambda: Zip((Part("a.zip", nested(0), fields={"crc": 1}),)))),
)
