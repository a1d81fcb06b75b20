"""Failures that a user can do something about: what, why, and the command that helps. Never shown as a traceback."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    what: str
    why: str
    next_command: str

    def __str__(self) -> str:
        return f"{self.what}\n  why:  {self.why}\n  next: {self.next_command}"


class Expected(Exception):  # noqa: N818 (it is not an error of the program)
    """An expected failure; `advice` says it all."""

    def __init__(self, what: str, why: str, next_command: str) -> None:
        self.advice = Advice(what, why, next_command)
        super().__init__(str(self.advice))
