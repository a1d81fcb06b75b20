"""One package of the corpus, and what a check must say about it."""

from collections.abc import Callable
from dataclasses import dataclass

from pac.testkit.crafted import Zip

Content = Zip | bytes


@dataclass(frozen=True)
class Case:
    """`codes` are all its faults, none for a package that is accepted; `warnings` all its warnings."""

    name: str
    content: Content | Callable[[], Content]
    codes: frozenset[str]
    warnings: frozenset[str]

    def raw(self) -> bytes:
        content = self.content() if callable(self.content) else self.content
        return content.raw() if isinstance(content, Zip) else content


def case(name: str, content: Content | Callable[[], Content], *codes: str, warns: tuple[str, ...] = ()) -> Case:
    return Case(name, content, frozenset(codes), frozenset(warns))
