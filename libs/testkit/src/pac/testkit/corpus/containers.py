"""Files that are no zip, are cut, are two in one, or whose end does not tell the truth."""

import struct
import zlib
from dataclasses import replace

from pac.testkit.corpus.case import Case, case
from pac.testkit.crafted import GOOD, MAIN, Part, Zip, package

RAW = package().raw()
LIST_AT = RAW.index(b"PK\x01\x02")
SCRIPT = b"#!/bin/sh\nexec unzip $0\n"
END64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 3, 3, len(RAW) - LIST_AT - 22, LIST_AT)
LOCATOR64 = struct.pack("<IIQI", 0x07064B50, 0, len(RAW) - 22, 1)
OTHER = Zip((*GOOD[:2], Part(MAIN, b"import os\n"))).raw()

CONTAINERS: tuple[Case, ...] = (
    case("nothing", b"", "invalid_apkg"),
    case("a text", b"this is not a zip file\n", "invalid_apkg"),
    case("a page", b"<!doctype html><title>404</title>", "invalid_apkg"),
    case("gzip", b"\x1f\x8b\x08\x00" + zlib.compress(RAW)[2:], "invalid_apkg"),
    case("a 7z archive", b"7z\xbc\xaf\x27\x1c" + bytes(40), "invalid_apkg"),
    case("a rar archive", b"Rar!\x1a\x07\x01\x00" + bytes(40), "invalid_apkg"),
    case("a signature alone", b"PK\x05\x06", "invalid_apkg"),
    case("the first header alone", b"PK\x03\x04" + bytes(60), "invalid_apkg"),
    case("half of a package", RAW[: len(RAW) // 2], "invalid_apkg"),
    case("all but its last byte", RAW[:-1], "invalid_apkg"),
    case("all but its end", RAW[:-22], "invalid_apkg"),
    case("all but its first byte", RAW[1:], "invalid_apkg"),
    case("an end without an archive", Zip(()), "manifest_missing", "env_missing"),
    case("a part of several: disk", package(end={"disk": 1}), "invalid_apkg"),
    case("a part of several: list", package(end={"list_disk": 1}), "invalid_apkg"),
    case("a part of several: counts", package(end={"here": 1}), "invalid_apkg"),
    case("more entries than listed", package(end={"here": 4, "total": 4}), "invalid_apkg"),
    case(
        "fewer entries than listed",
        package(end={"here": 2, "total": 2}),
        *("hidden_records", "hidden_data"),
        warns=("entrypoint_not_packed",),
    ),
    case("a list that begins behind itself", package(end={"list_at": LIST_AT + 1}), "invalid_apkg"),
    case("a list longer than the file", package(end={"list_bytes": len(RAW)}), "invalid_apkg"),
    case("a list larger than allowed", package(end={"list_bytes": 5 << 20}), "invalid_apkg"),
    case("a list cut short", package(end={"list_bytes": 40}), "leading_data", "invalid_apkg"),
    case("a list of other records", RAW.replace(b"PK\x01\x02", b"PK\x01\x03"), "invalid_apkg"),
    case("zip64: the list's place", package(end={"list_at": 0xFFFFFFFF}), "invalid_apkg"),
    case("zip64: the list's size", package(end={"list_bytes": 0xFFFFFFFF}), "invalid_apkg"),
    case("zip64: the count", package(end={"here": 0xFFFF, "total": 0xFFFF}), "too_many_entries"),
    case("zip64: a locator that nobody asked for", package(before_end=LOCATOR64), "invalid_apkg"),
    case("zip64: end and locator", package(before_end=END64 + LOCATOR64), "invalid_apkg"),
    case("zip64: an end without a locator", package(before_end=END64), "leading_data", "invalid_apkg"),
    case("two archives, the second counts", RAW + OTHER, "leading_data"),
    case("two archives, the second is empty", RAW + Zip(()).raw(), "leading_data", "manifest_missing", "env_missing"),
    case("two ends", RAW + RAW[-22:], "leading_data", "invalid_apkg"),
    case("an archive in the comment", package(comment=OTHER), "leading_data"),
    case("a comment", package(comment=b"made with love"), "archive_comment"),
    case("a comment that is an end", package(comment=RAW[-22:]), "leading_data", "invalid_apkg"),
    case(
        "a comment longer than said",
        package(comment=b"0123456789", end={"comments": 4}),
        *("archive_comment",),
        *("trailing_data",),
    ),
    case("a script before it", SCRIPT + RAW, "leading_data"),
    case("a script before it, counted", Zip((replace(GOOD[0], before=SCRIPT), *GOOD[1:])), "hidden_data"),
    case("a program before it", b"MZ" + bytes(510) + RAW, "leading_data"),
    case("a picture before it", b"\x89PNG\r\n\x1a\n" + bytes(64) + RAW, "leading_data"),
    case("a newline behind it", RAW + b"\n", "trailing_data"),
    case("zeros behind it", RAW + bytes(1000), "trailing_data"),
    case("half an archive behind it", RAW + OTHER[: len(OTHER) // 2], "trailing_data"),
    case("more than a comment's length behind it", RAW + bytes(70_000), "invalid_apkg"),
    case("bytes between two entries", package(Part("src/more.py", b"1", before=b"hidden")), "hidden_data"),
    case("bytes behind an entry", package(Part("src/more.py", b"1", after=b"hidden")), "hidden_data"),
    case("bytes before the list", package(before_list=b"hidden"), "hidden_data"),
    case("an entry that is not listed", package(Part("src/hidden.py", b"1", is_listed=False)), "hidden_data"),
    case("another main that is not listed", package(Part(MAIN, b"2", is_listed=False)), "hidden_data"),
    case("an extra record before the list", package(before_list=b"PK\x06\x08\x04\0\0\0abcd"), "hidden_data"),
    case("a signature behind the list", package(in_list=b"PK\x05\x05\x04\0abcd"), "hidden_records"),
    case("a record behind the list", package(in_list=Part("src/x.py").record(0)), "hidden_records"),
    case("bytes between list and end", package(before_end=b"hidden"), "leading_data", "invalid_apkg"),
)
