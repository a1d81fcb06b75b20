"""Entries whose two headers disagree, or that ask for something of zip that a package may not have."""

import stat
import struct
from collections.abc import Mapping
from typing import Any

from pac.testkit.corpus.case import Case, case
from pac.testkit.crafted import FOLDER, STORED, Part, Zip, package, with_main

TIMES = struct.pack("<HHBI", 0x5455, 5, 1, 1_700_000_000)
OWNERS = struct.pack("<HHBBIBI", 0x7875, 11, 1, 4, 1000, 4, 1000)


def extra(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def more(**fields: Any) -> Zip:
    """A sound package and one more file."""
    return package(Part("src/more.py", b"x = 1\n", **fields))


OWN: Mapping[str, Mapping[str, int]] = {
    "checksum": {"crc": 1},
    "size": {"size": 1},
    "packed size": {"packed": 1},
    "method": {"method": STORED},
    "flags": {"flags": 2},
    "UTF-8 mark": {"flags": 0x0800},
    "encryption": {"flags": 1},
}
FLAGS = {
    "encrypted": (0x0001, "encrypted"),
    "strongly encrypted": (0x0041, "encrypted"),
    "encrypted headers": (0x2000, "encrypted"),
    "sizes behind the data": (0x0008, "data_descriptor"),
    "enhanced deflating": (0x0010, "unknown_flags"),
    "a patch of another file": (0x0020, "unknown_flags"),
    "a reserved flag": (0x8000, "unknown_flags"),
}
METHODS = {1: "shrunk", 6: "imploded", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz", 99: "AES"}
EXTRAS = {
    "zip64": (extra(0x0001, bytes(8)), "zip64_entry"),
    "empty zip64": (extra(0x0001), "zip64_entry"),
    "two zip64": (extra(0x0001, bytes(8)) * 2, "zip64_entry"),
    "a second name": (extra(0x7075, b"\x01abcdsrc/other.py"), "second_name"),
    "a second comment": (extra(0x6375, b"\x01abcdnote"), "extra_unknown"),
    "AES": (extra(0x9901, bytes(7)), "extra_unknown"),
    "strong encryption": (extra(0x0017, bytes(8)), "extra_unknown"),
    "a link's target (ASi)": (extra(0x756E, bytes(14)), "extra_unknown"),
    "a link's target (PKWARE)": (extra(0x000D, bytes(12)), "extra_unknown"),
    "one that is cut": (b"\x55\x54\x09\x00\0", "extra_damaged"),
    "one of a byte": (b"\x55", "extra_damaged"),
    "a thousand of them": (extra(0x5455) * 1000, "extra_long"),
}
KINDS = {
    "a symbolic link": (stat.S_IFLNK | 0o777, "symlink"),
    "a pipe": (stat.S_IFIFO | 0o644, "special_file"),
    "a device": (stat.S_IFCHR | 0o644, "special_file"),
    "a disk": (stat.S_IFBLK | 0o644, "special_file"),
    "a socket": (stat.S_IFSOCK | 0o644, "special_file"),
    "a folder by its mode": (FOLDER, "kind_disagrees"),
}
LISTED = {
    "no zip 4.5 reader knows it": ({"needed": 46}, "format_too_new"),
    "the newest format there is": ({"needed": 63}, "format_too_new"),
    "made on VMS": ({"made_by": 2 << 8 | 20}, "system_unknown"),
    "made on nothing known": ({"made_by": 255 << 8 | 20}, "system_unknown"),
    "on another disk": ({"disk": 1}, "zip64_entry"),
    "a folder by its DOS attribute": ({"external": 0o100644 << 16 | 0x10}, "kind_disagrees"),
}

HEADERS: tuple[Case, ...] = (
    *(case(f"its own header has another {what}", with_main(own=own), "header_disagrees") for what, own in OWN.items()),
    *(case(f"flag: {what}", more(fields={"flags": flags}), code) for what, (flags, code) in FLAGS.items()),
    *(case(f"method: {name}", more(fields={"method": number}), "method") for number, name in METHODS.items()),
    *(case(f"extra field: {what}", more(extra=data), code) for what, (data, code) in EXTRAS.items()),
    *(case(f"hidden extra field: {what}", more(own_extra=data), code) for what, (data, code) in EXTRAS.items()),
    *(case(what, more(mode=mode), code) for what, (mode, code) in KINDS.items()),
    *(case(what, more(listed=listed), code) for what, (listed, code) in LISTED.items()),
    case("its own header has another name", with_main(own_name=b"src/evil.py"), "header_name_disagrees"),
    case("its own header has a longer name", with_main(own_name=b"src/main.pyc"), "header_name_disagrees"),
    case("its own header is none", with_main(own={"signature": 0}), "header_missing", "hidden_data"),
    case(
        "its header is beyond the file",
        with_main(listed={"offset": 1 << 30}),
        *("header_missing", "overlap"),
        *("hidden_data",),
    ),
    case(
        "its header is that of another",
        with_main(listed={"offset": 0}),
        *("header_disagrees", "overlap"),
        *("header_name_disagrees", "hidden_data"),
    ),
    case("zip64: its size", more(fields={"size": 0xFFFFFFFF}), *("zip64_entry", "ratio", "unpacked_too_large")),
    case("zip64: its packed size", more(fields={"packed": 0xFFFFFFFF}), "zip64_entry", "overlap"),
    case(
        "zip64: its place",
        more(listed={"offset": 0xFFFFFFFF}),
        *("zip64_entry", "header_missing", "overlap"),
        *("hidden_data",),
    ),
    case("a comment on an entry", more(comment=b"note"), "entry_comment"),
    case("stored in another size", more(method=STORED, fields={"size": 5}), "sizes_disagree", "size_wrong"),
    case("a folder by its name, a file by its mode", package(Part("src/more/")), "kind_disagrees"),
    case("a folder with content", package(Part("src/more/", b"x", mode=FOLDER)), "folder_with_content"),
    # Odd, and nobody's harm.
    case("a folder", package(Part("src/more/", mode=FOLDER))),
    case("a folder that is deflated to nothing", package(Part("src/more/", mode=FOLDER, packed=b"\x03\0"))),
    case("a file without a mode", more(mode=0)),
    case("a file that anybody may run and that runs as its owner", more(mode=0o104777)),
    case("made on DOS", more(listed={"made_by": 20, "external": 0x20})),
    case("made on macOS", more(listed={"made_by": 19 << 8 | 20})),
    case("a time that is none", more(fields={"time": 0xFFFF, "date": 0})),
    case("times and owners", more(extra=TIMES + OWNERS)),
    case("the mark of a jar", more(extra=extra(0xCAFE))),
    case("marked as UTF-8 without need", more(fields={"flags": 0x0800})),
    case("packed hard", more(fields={"flags": 0x0002})),
)
