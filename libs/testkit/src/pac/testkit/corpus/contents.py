"""Entries whose bytes are not what their headers say. Only inflating them shows it."""

from typing import Any

from pac.testkit.corpus.case import Case, case
from pac.testkit.crafted import MAIN, STORED, Part, Zip, deflated, package

DATA = bytes(range(256)) * 16
PACKED = deflated(DATA)


def odd(**fields: Any) -> Zip:
    return package(Part("src/data.bin", DATA, **fields))


CONTENTS: tuple[Case, ...] = (
    case("another checksum", odd(fields={"crc": 1}), "checksum_wrong"),
    case("another checksum, stored", odd(method=STORED, fields={"crc": 1}), "checksum_wrong"),
    case("a changed byte, stored", odd(method=STORED, packed=b"?" + DATA[1:]), "checksum_wrong"),
    case("unpacks to more", odd(fields={"size": len(DATA) - 1}), "size_wrong"),
    case("unpacks to much more", odd(fields={"size": 1}), "size_wrong"),
    case("unpacks to more than nothing", odd(fields={"size": 0, "crc": 0}), "size_wrong"),
    case("unpacks to less", odd(fields={"size": len(DATA) + 1}), "size_wrong"),
    case("unpacks to nothing", odd(packed=b"\x03\0"), "size_wrong"),
    case("no deflate at all", odd(packed=b"\xff" * 100), "deflate_damaged"),
    case("deflated to no byte", odd(packed=b""), "deflate_damaged"),
    case("deflate cut short", odd(packed=PACKED[:-5]), "deflate_damaged"),
    case("deflate without its last block", odd(packed=b"\0\x01\0\xfe\xff?"), "deflate_damaged"),
    case("zlib's header around it", odd(packed=b"\x78\x9c" + PACKED), "deflate_damaged"),
    case("bytes behind the deflated", odd(packed=PACKED + b"hidden"), "hidden_data"),
    case("a second stream behind the first", odd(packed=PACKED + PACKED), "hidden_data"),
    case("an archive behind the deflated", odd(packed=PACKED + package().raw()), "hidden_data"),
    case(
        "a manifest that is damaged",
        package(Part("manifest.json", b"{}", fields={"crc": 1})),
        *("manifest_invalid",),
        *("checksum_wrong",),
    ),
    case(
        "an .env that is damaged",
        package(Part(".env", b"A=1\n", fields={"crc": 1}), without=[".env"]),
        *("env_unreadable", "checksum_wrong"),
    ),
    # Sound at the edges of how it is read.
    case("an empty file", package(Part("src/empty", b"", method=STORED))),
    case("an empty file, deflated", package(Part("src/empty", b""))),
    case("stored", odd(method=STORED)),
    case(
        "stored blocks",
        odd(packed=b"\x01" + len(DATA).to_bytes(2, "little") + (len(DATA) ^ 0xFFFF).to_bytes(2, "little") + DATA),
    ),
    case("an entry that looks like a list", package(Part("src/data.bin", package().raw()[-200:], method=STORED))),
    case("an entry that looks like another", package(Part("src/data.bin", Part(MAIN, b"2").header(), method=STORED))),
)
