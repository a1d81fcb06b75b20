"""Names that would leave their folder, meet in one place, or mean nothing on some system."""

from collections.abc import Mapping

from pac.testkit.corpus.case import Case, case
from pac.testkit.crafted import FOLDER, MAIN, Part, Zip, package

BAD: Mapping[str | bytes, tuple[str, ...]] = {
    "": ("name_empty",),
    "/etc/passwd": ("name_absolute",),
    "//server/share": ("name_absolute", "name_odd"),
    "../evil.py": ("name_parent",),
    "src/../../evil.py": ("name_parent",),
    "src/..": ("name_parent",),
    "..": ("name_parent",),
    "..\\evil.py": ("name_backslash", "name_parent"),
    "src\\main.py": ("name_backslash",),
    "C:/evil.py": ("name_drive",),
    "C:evil.py": ("name_drive",),
    "C:\\evil.py": ("name_drive", "name_backslash"),
    "\\\\server\\share": ("name_backslash", "name_odd"),
    "./src/evil.py": ("name_odd",),
    "src//evil.py": ("name_odd",),
    "src/./evil.py": ("name_odd",),
    "src/nul": ("name_device",),
    "src/NUL.py": ("name_device",),
    "src/com1.txt": ("name_device",),
    "src/LPT9": ("name_device",),
    "aux/x.py": ("name_device",),
    "src/con .py": ("name_device",),
    "src/a\0.py": ("name_control",),
    "src/main.py\0.txt": ("name_control",),
    "src/a\nb.py": ("name_control",),
    "src/a\rb.py": ("name_control",),
    "src/\x1b[31m.py": ("name_control",),
    "src/\x7f.py": ("name_control",),
    "src/\u0085.py": ("name_control",),
    "src/\u2028.py": ("name_control",),
    b"src/\xff\xfe.py": ("name_not_utf8",),
    b"src/caf\x82.py": ("name_not_utf8",),  # as DOS writes it
    b"src/\xed\xa0\x80.py": ("name_not_utf8",),  # half of a pair
    b"src/\xc0\xae\xc0\xae/evil.py": ("name_not_utf8",),  # .. in more bytes than needed
    "src/" + "x" * 256: ("name_long",),
    "src/" + "é" * 128: ("name_long",),
    "x/" * 600 + "x": ("name_long", "name_deep"),
    "x/" * 64 + "x": ("name_deep",),
}
CLASHES: Mapping[str, tuple[str, str, str]] = {
    "the same twice": ("src/a.py", "src/a.py", "duplicate_entry"),
    "one letter twice": ("a", "a", "duplicate_entry"),
    "another main": (MAIN, "src/b.py", "duplicate_entry"),
    "upper and lower case": ("src/a.py", "SRC/A.py", "clashing_entry"),
    "two forms of é": ("src/caf\u00e9.py", "src/cafe\u0301.py", "clashing_entry"),
    "two forms of Korean": ("src/\ud55c.py", "src/\u1112\u1161\u11ab.py", "clashing_entry"),
    "long and round s": ("src/\u017f.py", "src/s.py", "clashing_entry"),
    "ß and ss": ("src/\u00df.py", "src/ss.py", "clashing_entry"),
    "kelvin and k": ("src/\u212a.py", "src/k.py", "clashing_entry"),
    "an .env in capitals": (".ENV", "src/b.py", "clashing_entry"),
    "a file used as a folder": ("src/a", "src/a/b.py", "file_used_as_folder"),
    "main used as a folder": ("src/main.py/x.py", "src/b.py", "file_used_as_folder"),
    "a file used as a folder, far down": ("src/a", "src/A/b/c/d/e.py", "file_used_as_folder"),
}
HARMLESS = (
    "src/café.py",
    "日本/語.txt",
    "src/😀.py",
    "src/a b (1).py",
    "src/...",
    "src/a..b",
    "src/nullable.py",
    "src/.hidden",
    "src/x:y",
    "src/-rf",
    "src/$HOME",
    "src/*?.py",
    "src/%2e%2e",
    "src/\u202egnp.py",  # shown with its mark escaped
    "src/" + "x" * 255,
    "x/" * 63 + "x",
)


def marked(name: str | bytes) -> Part:
    """An entry whose name is said to be UTF-8."""
    return Part(name, b"x", fields={"flags": 0x0800})


NAMES: tuple[Case, ...] = (
    *(case(f"name {name!r:.60} of {len(name)}", package(marked(name)), *codes) for name, codes in BAD.items()),
    *(case(what, package(Part(one, b"1"), Part(two, b"2")), code) for what, (one, two, code) in CLASHES.items()),
    *(case(f"harmless name {name!r:.60}", package(Part(name, b"x"))) for name in HARMLESS),
    case("a file and a folder of its name", package(Part("src/a"), Part("src/a/", mode=FOLDER)), "clashing_entry"),
    case("a folder that is only a slash", package(Part("/", mode=FOLDER)), "name_empty"),
    case("a name that is not marked as UTF-8", package(Part("src/é.py", b"x", fields={"flags": 0})), "name_not_utf8"),
    case(
        "a name in another place for each header",
        package(Part("src/a.py", own_name=b"../../a.")),
        "header_name_disagrees",
    ),
    case("folders in capitals", package(Part("SRC/", mode=FOLDER), Part("Src/other.py", b"x"))),
    case(
        "everything wrong at once",
        Zip((Part("../evil"), Part("/etc/passwd"), Part("a", mode=0o120777)), comment=b"!"),
        *("archive_comment", "name_parent", "name_absolute", "symlink", "manifest_missing", "env_missing"),
    ),
)
