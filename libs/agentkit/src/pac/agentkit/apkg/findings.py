"""Collects what is found wrong. Every kind of fault is told, and a package that is wrong everywhere costs no memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pac.agentkit.apkg.model import Limits, Problem


@dataclass
class Findings:
    """The first few problems of each code, and how many there were besides."""

    limits: Limits
    _kept: dict[Problem, None] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _left_out: int = 0

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(self._counts)

    def add(self, problem: Problem) -> None:
        if problem in self._kept:
            return
        before = self._counts[problem.code]
        self._counts[problem.code] += 1
        if before == 0 or (before < self.limits.problems_per_code and len(self._kept) < self.limits.problems):
            self._kept[problem] = None
        else:
            self._left_out += 1

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.add(problem)

    def told(self) -> tuple[Problem, ...]:
        """In the order they were found; the last one counts those that are left out."""
        if not self._left_out:
            return tuple(self._kept)
        return (*self._kept, Problem("more_problems", f"… and {self._left_out} more problems"))
