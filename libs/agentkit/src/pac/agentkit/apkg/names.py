"""Which entry names are safe to become paths on any machine."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from pac.agentkit.apkg.model import Limits, Problem

DRIVE = re.compile(r"[A-Za-z]:")
DEVICES = r"con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]"
DEVICE_STEMS = ("con", "prn", "aux", "nul", "com", "lpt")  # looked for first: ten thousand long names are many
DEVICE = re.compile(rf"(?:^|[/\\])(?:{DEVICES})[ ]*(?:[.:/\\]|$)", re.IGNORECASE)
SHOWN_CHARACTERS = 160
COMPONENT_BYTES = 255


def shown(name: str) -> str:
    """The name with everything that could disturb a terminal or a log escaped, and cut."""
    begin = name[:SHOWN_CHARACTERS]
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in begin)
    whole = len(name) <= SHOWN_CHARACTERS and len(printable) <= SHOWN_CHARACTERS
    return printable if whole else printable[: SHOWN_CHARACTERS - 1] + "…"


def name_problems(name: str, limits: Limits) -> list[Problem]:
    """Every fault of one entry name; a folder's ends with a slash."""
    return [
        Problem(code, f"{shown(name) or '(empty)'}: {what}", shown(name), "Rename it and build the package again.")
        for code, what in _faults(name, limits)
    ]


def _faults(name: str, limits: Limits) -> Iterator[tuple[str, str]]:
    if not name.strip("/"):
        yield "name_empty", "an entry without a name"
        return
    if name.startswith("/"):
        yield "name_absolute", "an absolute path"
    if DRIVE.match(name):
        yield "name_drive", "a path with a drive letter"
    if "\\" in name:
        yield "name_backslash", "a backslash in the name"
    if not name.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in name):
        yield "name_control", "a control character in the name"
    if len(name) * 4 > limits.name_bytes and len(name.encode("utf-8", "surrogatepass")) > limits.name_bytes:
        yield "name_long", f"a name longer than {limits.name_bytes} bytes"
    parts = name.removesuffix("/").removeprefix("/").replace("\\", "/").split("/")
    if len(parts) > limits.depth:
        yield "name_deep", f"more than {limits.depth} folders deep"
    if is_within_bounds(name, limits):
        yield from _part_faults(parts)
        if any(device in name.lower() for device in DEVICE_STEMS) and DEVICE.search(name):
            yield "name_device", "a name that is a device on some systems"


def is_within_bounds(name: str, limits: Limits) -> bool:
    """Neither so long nor so deep that comparing it with others would cost something."""
    return len(name) <= limits.name_bytes and name.count("/") <= limits.depth


def _part_faults(parts: list[str]) -> Iterator[tuple[str, str]]:
    if ".." in parts:
        yield "name_parent", "a path that leaves its folder (..)"
    if "." in parts or "" in parts:
        yield "name_odd", "a path with an empty or '.' part"
    if max(map(len, parts)) * 4 > COMPONENT_BYTES and any(
        len(part.encode("utf-8", "surrogatepass")) > COMPONENT_BYTES for part in parts
    ):
        yield "name_long", f"a part longer than {COMPONENT_BYTES} bytes"


def same_place(name: str) -> str:
    """Two names with the same key are one file on some file system (case or Unicode form ignored)."""
    if name.isascii():
        return name.rstrip("/").lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.rstrip("/")).casefold())


def too_many_folders(names: Iterable[str], limits: Limits) -> Problem | None:
    """A few thousand deep names would make hundreds of thousands of folders."""
    folders: set[str] = set()
    for name in names:
        parent = name.rstrip("/").rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            if len(folders) > limits.folders:
                return Problem("too_many_folders", f"The package needs more than {limits.folders} folders")
            parent = parent.rpartition("/")[0]
    return None


def clashes(names: Iterable[str]) -> Iterator[Problem]:
    """Entries that would meet in one place, and files that are also used as folders."""
    seen: dict[str, str] = {}
    for name in names:
        key = same_place(name)
        if key not in seen:
            seen[key] = name
        elif seen[key] == name:
            yield _clash("duplicate_entry", name, "is there twice")
        else:
            yield _clash("clashing_entry", name, f"and {shown(seen[key])} are one file on some systems")
    yield from _files_used_as_folders(seen)


def _files_used_as_folders(seen: Mapping[str, str]) -> Iterator[Problem]:
    """No parent is kept: those of ten thousand deep names would take hundreds of megabytes."""
    keys = sorted(seen)
    for key, name in seen.items():
        at = bisect_left(keys, f"{key}/")
        if not name.endswith("/") and at < len(keys) and keys[at].startswith(f"{key}/"):
            yield _clash("file_used_as_folder", name, "is a file and a folder at once")


def _clash(code: str, name: str, what: str) -> Problem:
    return Problem(code, f"{shown(name)} {what}", shown(name), "Keep one of them and build the package again.")
