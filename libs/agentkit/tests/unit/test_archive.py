"""Every fault of the container is named, each by its own code."""

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.apkg import Limits, inspect, verify
from pac.agentkit.apkg.inflating import INFLATE_BYTES, inflated

Store = Callable[[bytes], Path]
MAIN = "src/main.py"


def codes(path: Path, limits: Limits | None = None) -> list[str]:
    return [problem.code for problem in inspect(path, limits or Limits()).problems]


def test_a_good_package_has_no_fault(stored: Store, craft: Any) -> None:
    inspection = inspect(stored(craft.good().raw()))
    assert (inspection.problems, inspection.warnings) == ((), ())
    assert (inspection.name, inspection.version, inspection.env_names) == ("echo-agent", "1.2.0", ("GREETING",))
    assert [entry.name for entry in inspection.entries] == [".env", ".pixell/package.json", MAIN]


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x05\x06", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_zip_is_an_invalid_format(data: bytes, stored: Store) -> None:
    (problem,) = inspect(stored(data)).problems
    assert (problem.code, problem.message) == ("invalid_apkg", "Invalid APKG format")


def test_a_package_cut_short_is_an_invalid_format(stored: Store, craft: Any) -> None:
    raw = craft.good().raw()
    for length in range(0, len(raw) - 1, 7):
        assert codes(stored(raw[:length])) == ["invalid_apkg"]


def test_an_empty_archive_misses_everything_at_once(stored: Store, craft: Any) -> None:
    messages = [problem.message for problem in inspect(stored(craft.empty().raw())).problems]
    assert messages == ["Missing required manifest.json", "Missing required .env file at project root"]


def test_data_around_the_archive_is_refused(stored: Store, craft: Any) -> None:
    raw = craft.good().raw()
    assert codes(stored(raw + b"more")) == ["trailing_data"]
    assert "leading_data" in codes(stored(b"#!/bin/sh\n" + raw))
    assert codes(stored(raw[:-2] + b"\x04\0note")) == ["archive_comment"]


def test_a_format_newer_than_needed_is_refused(stored: Store, craft: Any) -> None:
    raw = craft.good().raw()
    assert codes(stored(craft.patched(raw, craft.central(raw, MAIN) + 6, "<H", 148))) == ["format_too_new"]


def test_two_archives_in_one_file_are_refused(stored: Store, craft: Any) -> None:
    assert "leading_data" in codes(stored(craft.good().raw() + craft.good().raw()))


def test_bytes_that_no_entry_lists_are_refused(stored: Store, craft: Any) -> None:
    raw = craft.good().raw()
    at = raw.index(b"PK\x01\x02")
    hidden = craft.patched(raw[:at] + b"hidden" + raw[at:], len(raw) + 6 - 6, "<I", at + 6)
    assert codes(stored(hidden)) == ["hidden_data"]


def test_entries_that_share_bytes_are_refused(stored: Store, craft: Any) -> None:
    raw = craft.good().raw()
    shared = craft.patched(raw, craft.central(raw, MAIN) + 42, "<I", craft.local(raw, ".env"))
    assert {"overlap", "header_name_disagrees"} <= set(codes(stored(shared)))


@pytest.mark.parametrize(
    ("offset", "form", "value", "code"),
    [
        (14, "<I", 1, "header_disagrees"),  # checksum
        (22, "<I", 1, "header_disagrees"),  # size
        (8, "<H", 0, "header_disagrees"),  # method
        (30, "<B", ord("X"), "header_name_disagrees"),
        (0, "<I", 0, "header_missing"),
    ],
)
def test_a_header_that_disagrees_with_the_list_is_refused(  # noqa: PLR0917 - fixtures
    offset: int, form: str, value: int, code: str, stored: Store, craft: Any
) -> None:
    raw = craft.good().raw()
    assert code in codes(stored(craft.patched(raw, craft.local(raw, MAIN) + offset, form, value)))


@pytest.mark.parametrize(
    ("flags", "code"),
    [(0x0001, "encrypted"), (0x2000, "encrypted"), (0x0008, "data_descriptor"), (0x0020, "unknown_flags")],
)
def test_flags_that_change_the_meaning_are_refused(flags: int, code: str, stored: Store, craft: Any) -> None:
    raw = craft.good().raw()
    raw = craft.patched(raw, craft.central(raw, MAIN) + 8, "<H", flags)
    raw = craft.patched(raw, craft.local(raw, MAIN) + 6, "<H", flags)
    (problem,) = [problem for problem in inspect(stored(raw)).problems if problem.entry == MAIN]
    assert problem.code == code
    assert problem.hint is not None
    assert "pac build" in problem.hint


def test_a_package_written_to_a_pipe_says_how_to_build_it_again(tmp_path: Path, craft: Any) -> None:
    class Pipe:
        def __init__(self, path: Path) -> None:
            self.file = path.open("wb")

        def write(self, data: bytes) -> int:
            return self.file.write(data)

        def flush(self) -> None:
            self.file.flush()

    pipe = Pipe(tmp_path / "piped.apkg")
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for info, data in craft.good().entries:
            archive.writestr(info.filename, data)
    pipe.file.close()
    problems = inspect(tmp_path / "piped.apkg").problems
    assert {problem.code for problem in problems} == {"data_descriptor"}
    assert "not to a pipe" in str(problems[0].hint)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(method: int, stored: Store, craft: Any) -> None:
    assert codes(stored(craft.good().add("src/more.py", b"x" * 100, method=method).raw())) == ["method"]


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        (stat.S_IFLNK | 0o777, "symlink"),
        (stat.S_IFIFO | 0o644, "special_file"),
        (stat.S_IFCHR | 0o644, "special_file"),
        (stat.S_IFSOCK | 0o644, "special_file"),
        (stat.S_IFDIR | 0o755, "kind_disagrees"),
    ],
)
def test_what_is_no_plain_file_is_refused(mode: int, code: str, stored: Store, craft: Any) -> None:
    assert codes(stored(craft.good().add("src/link", b"/etc/passwd", mode=mode).raw())) == [code]


def test_a_folder_with_content_is_refused(stored: Store, craft: Any) -> None:
    raw = craft.good().add("data/", b"x", mode=stat.S_IFDIR | 0o755).raw()
    assert codes(stored(raw)) == ["folder_with_content"]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (b"\x01\x00\x08\x00" + b"\0" * 8, "zip64_entry"),
        (b"\x75\x70\x05\x00" + b"\1abcd", "second_name"),
        (b"\x55\x54\x09\x00\0", "extra_damaged"),
    ],
)
def test_extra_fields_with_a_second_meaning_are_refused(extra: bytes, code: str, stored: Store, craft: Any) -> None:
    crafted = craft.good().add("src/more.py", b"x")
    crafted.entries[-1][0].extra = extra
    assert code in codes(stored(crafted.raw()))


def test_names_that_are_not_utf8_are_refused(stored: Store, craft: Any) -> None:
    raw = craft.good().add("src/aaaa.py", b"x").raw().replace(b"src/aaaa.py", b"src/a\xff\xfea.py")
    assert codes(stored(raw)) == ["name_not_utf8"]
    unmarked = craft.good().add("src/aaaa.py", b"x").raw().replace(b"src/aaaa.py", b"src/a\xc3\xa9a.py")
    assert codes(stored(unmarked)) == ["name_not_utf8"]
    assert codes(stored(craft.good().add("src/café.py", b"x").raw())) == []


def test_duplicates_are_refused_also_by_case_and_by_unicode_form(stored: Store, craft: Any) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        raw = craft.good().add(MAIN, b"other").raw()
    assert codes(stored(raw)) == ["duplicate_entry"]
    assert codes(stored(craft.good().add("SRC/Main.py", b"x").raw())) == ["clashing_entry"]
    both_forms = craft.good().add("src/caf\u00e9.py", b"x").add("src/cafe\u0301.py", b"y")
    assert codes(stored(both_forms.raw())) == ["clashing_entry"]
    assert codes(stored(craft.good().add("src/main.py/more.py", b"x").raw())) == ["file_used_as_folder"]


def test_too_many_entries_are_not_even_read(stored: Store, craft: Any) -> None:
    assert codes(stored(craft.good().raw()), Limits(entries=2)) == ["too_many_entries"]


def test_declared_sizes_beyond_the_limits_are_refused(stored: Store, craft: Any) -> None:
    raw = craft.good().add("src/blank", b"\0" * 2_000_000).raw()
    assert codes(stored(raw)) == ["ratio"]
    assert codes(stored(raw), Limits(unpacked_bytes=1_000_000, ratio=2000)) == ["unpacked_too_large"]


def test_all_faults_come_at_once(stored: Store, craft: Any) -> None:
    crafted = craft.empty().add("../evil", b"x").add("/etc/passwd", b"x").add("a", b"t", mode=stat.S_IFLNK | 0o777)
    assert set(codes(stored(crafted.raw() + b"!"))) == {
        "trailing_data",
        "symlink",
        "name_parent",
        "name_absolute",
        "manifest_missing",
        "env_missing",
    }


def test_a_package_wrong_everywhere_gets_a_bounded_answer(stored: Store, craft: Any) -> None:
    crafted = craft.good()
    for number in range(500):
        crafted.add(f"../{number}", b"")
    problems = inspect(stored(crafted.raw())).problems
    assert len(problems) == Limits().problems_per_code + 1
    assert problems[-1].message == "… and 480 more problems"


def test_every_kind_of_fault_is_told_however_many_there_are_of_one(stored: Store, craft: Any) -> None:
    crafted = craft.empty()
    for number in range(5000):
        crafted.add(f"../{number}\n", b"")
    assert set(codes(stored(crafted.raw() + b"!"))) == {
        *("trailing_data", "name_parent", "name_control", "manifest_missing", "env_missing", "more_problems")
    }


def test_verify_finds_what_only_the_bytes_show(stored: Store, craft: Any) -> None:
    raw = craft.good().add("src/data", b"abc" * 100, method=zipfile.ZIP_STORED).raw()
    at = raw.index(b"abcabc")
    damaged = stored(raw[:at] + b"X" + raw[at + 1 :])
    assert codes(damaged) == []
    verification = verify(damaged)
    assert [(problem.code, problem.entry) for problem in verification.problems] == [("checksum_wrong", "src/data")]
    assert "src/data" not in {file.name for file in verification.files}


def claiming(size: int, craft: Any) -> bytes:
    """A package with a file of three million bytes that says it has so many."""
    raw: bytes = craft.good().add("src/data", b"\0" * 3_000_000).raw()
    raw = craft.patched(raw, craft.central(raw, "src/data") + 24, "<I", size)
    return bytes(craft.patched(raw, craft.local(raw, "src/data") + 22, "<I", size))


def test_of_what_unpacks_to_more_than_it_declares_one_byte_too_many_is_enough(stored: Store, craft: Any) -> None:
    path = stored(claiming(10, craft))
    verification = verify(path)
    assert [problem.code for problem in verification.problems] == ["size_wrong"]
    [entry] = [entry for entry in verification.inspection.entries if entry.name == "src/data"]
    with path.open("rb") as file:
        assert b"".join(inflated(file.fileno(), entry)) == b"\0" * 11


def test_what_declares_itself_a_bomb_is_not_inflated(stored: Store, craft: Any) -> None:
    verification = verify(stored(claiming(5_000_000, craft)))
    assert [problem.code for problem in verification.problems] == ["ratio"]
    assert verification.unpacked_bytes < 1000


def test_nothing_is_inflated_of_what_declares_too_much(stored: Store, craft: Any) -> None:
    raw = craft.good().add("src/data", b"\0" * 30_000_000).raw()
    verification = verify(stored(raw), Limits(unpacked_bytes=5_000_000, ratio=100_000))
    assert [problem.code for problem in verification.problems] == ["unpacked_too_large"]
    assert verification.unpacked_bytes == 0


@pytest.mark.parametrize("more", [-1, 0, 1, 100, 257, 258, 259, INFLATE_BYTES - 1, INFLATE_BYTES])
def test_a_piece_may_end_in_the_middle_of_a_repetition(more: int, stored: Store, craft: Any) -> None:
    raw = craft.good().add("src/data", b"a" * (INFLATE_BYTES + more)).raw()
    assert verify(stored(raw), Limits(ratio=10_000)).problems == ()


def test_verify_refuses_bytes_behind_the_compressed_data(stored: Store, craft: Any) -> None:
    raw = craft.good().raw()
    begin, packed = craft.local(raw, MAIN), len(b"hidden")
    end = raw.index(b"PK\x01\x02")
    size = int.from_bytes(raw[begin + 18 : begin + 22], "little") + packed
    longer = raw[:end] + b"hidden" + raw[end:]
    for at in (craft.central(longer, MAIN) + 20, begin + 18):
        longer = craft.patched(longer, at, "<I", size)
    longer = craft.patched(longer, len(longer) - 6, "<I", end + packed)
    assert codes(stored(longer)) == []
    assert [problem.code for problem in verify(stored(longer)).problems] == ["hidden_data"]
