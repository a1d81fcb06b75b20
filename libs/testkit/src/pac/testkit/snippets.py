"""The fenced blocks of the documentation, for tests that run them or look at them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[5]
PAGES = CHECKOUT / "docs"
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LANGUAGES = ("bash", "console", "json", "python")


@dataclass(frozen=True)
class Snippet:
    """One block. `line` is that of its opening fence, from 1; `heading` the nearest one before it."""

    page: Path
    line: int
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(CHECKOUT)}:{self.line} ({self.heading})"


def snippets_of(page: Path) -> list[Snippet]:
    """All blocks of a page in a language that can be run or read by a program."""
    content = page.read_text(encoding="utf-8")
    return [
        Snippet(page, content.count("\n", 0, found.start()) + 1, _heading(content, found.start()), found[1], found[2])
        for found in _FENCE.finditer(content)
        if found[1] in _LANGUAGES
    ]


def _heading(content: str, before: int) -> str:
    """Lines inside of blocks that begin with # are comments, not headings."""
    prose = _FENCE.sub("", content[:before])
    headings = _HEADING.findall(prose)
    return str(headings[-1]) if headings else ""


def pages() -> Iterator[Path]:
    """README.md and all pages below docs/, in order."""
    yield CHECKOUT / "README.md"
    yield from sorted(PAGES.rglob("*.md"))
