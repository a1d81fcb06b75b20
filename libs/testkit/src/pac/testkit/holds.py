"""What holds, as measured: results kept in docs/what-holds.jsonl, and the section of the README made of the newest.

Any suite or command that has shown something adds a row:

    keep(Result("rebuild", fault="a projection rebuilt", load="1,000,000 events", law="row by row the same",
                held=True, figures={"events a second": 41000}, seconds=25.1))

Tests keep theirs only where PAC_KEEP_RESULTS is set, as `make test-chaos KEEP=1` does.
`python -m pac.testkit.holds` writes the section anew, `--check` exits with 1 where it is out of date.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[5]
KEPT = Path("docs/what-holds.jsonl")
README = Path("README.md")
KEEPING = "PAC_KEEP_RESULTS"
BEGIN = "<!-- written by `make holds` from docs/what-holds.jsonl -->"
END = "<!-- end of what is written -->"
COLUMNS = ("fault", "load", "what must hold", "held", "measured", "seconds", "seed", "when")
# The order of the rows; what is not named here follows in the order of its first result.
ROWS = (
    *("ten-credits", "one-version", "every-point", "everything-killed", "postgres", "kafka", "objects", "repeated"),
    *("replicas", "paused-leader", "poison", "kafka-lost", "any-process", "read-side", "scale"),
)
Figure = int | float | str


@dataclass(frozen=True)
class Result:
    """`name` is the row: its newest result is the one that is shown. Texts are for people, figures in short."""

    name: str
    fault: str
    load: str
    law: str
    held: bool
    figures: Mapping[str, Figure] = field(default_factory=dict)
    seconds: float | None = None
    seed: int | None = None


def is_keeping() -> bool:
    return bool(os.environ.get(KEEPING))


def keep(result: Result, *, checkout: Path = CHECKOUT) -> None:
    """Appends a line, with the date, the commit and the size of the machine."""
    told = {**asdict(result), "date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit_of(checkout), **machine()}
    file = checkout / KEPT
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{json.dumps(told, ensure_ascii=False)}\n")


@contextmanager
def holding(name: str, *, fault: str, load: str, law: str, seed: int | None = None) -> Iterator[dict[str, Figure]]:
    """Around a test that shows it. Keeps how long it took and the figures put into what it yields, also if it fails."""
    began, figures, held = time.monotonic(), dict[str, Figure](), False
    try:
        yield figures
        held = True
    finally:
        if is_keeping():
            keep(Result(name, fault, load, law, held, figures, round(time.monotonic() - began, 1), seed))


def newest(checkout: Path = CHECKOUT) -> list[Mapping[str, Any]]:
    """The last line of each name, in the order of ROWS."""
    file, found = checkout / KEPT, dict[str, Mapping[str, Any]]()
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        one = json.loads(line)
        found[one["name"]] = one
    names = [*(name for name in ROWS if name in found), *(name for name in found if name not in ROWS)]
    return [found[name] for name in names]


def section(results: Sequence[Mapping[str, Any]]) -> str:
    """The table, between its markers."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(one) for one in results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{BEGIN}\n\n{table}\n\n{END}"


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    measured = "; ".join(f"{name} {_shown(figure)}" for name, figure in one["figures"].items())
    where = f"{one['date']}, {one['commit']}, {one['cores']} cores"
    seconds, seed = (_shown(one[name]) if one[name] is not None else "" for name in ("seconds", "seed"))
    return one["fault"], one["load"], one["law"], "yes" if one["held"] else "**no**", measured, seconds, seed, where


def _shown(figure: Figure) -> str:
    if isinstance(figure, float):
        return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
    return f"{figure}"


def machine() -> dict[str, int]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count() or 0, "memory_gib": round(memory / 1024**3)}


def commit_of(checkout: Path) -> str:
    """With a `+` when the code is not that of the commit; results and pages about them are no code."""
    git = ("git", "-C", str(checkout))
    try:
        named = subprocess.run((*git, "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=True)  # noqa: S603 (argv is ours)
        code = ("--", ".", ":!docs", ":!README.md")
        changed = subprocess.run((*git, "diff", "--quiet", "HEAD", *code), check=False)  # noqa: S603 (argv is ours)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return named.stdout.strip() + ("+" if changed.returncode else "")


def rewritten(page: str, results: Sequence[Mapping[str, Any]]) -> str:
    """The page with its section made anew. Raises ValueError where the markers are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no section between {BEGIN} and {END}")
    return f"{before}{section(results)}{after}"


def main(arguments: Sequence[str], *, checkout: Path = CHECKOUT) -> int:
    readme = checkout / README
    page = readme.read_text(encoding="utf-8")
    wanted = rewritten(page, newest(checkout))
    if "--check" in arguments:
        if page != wanted:
            sys.stderr.write("README.md does not show the newest results: make holds\n")
        return int(page != wanted)
    readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
