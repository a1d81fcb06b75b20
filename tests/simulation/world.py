"""What all services of the simulation share: time, ids, topics, tables that a failed transaction undoes, the trace."""

import re
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope

from .catalog import Law

K = TypeVar("K")
V = TypeVar("V")
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
KINDS = {"account": 1, "app": 2, "package": 3, "deployment": 4, "grant": 5, "event": 6}
LETTERS = {number: kind[0] for kind, number in KINDS.items()} | {2: "A", 3: "P"}
ID = re.compile(r"0{8}-0000-0000-000(\d)-0*([0-9a-f]+)")


class Violation(AssertionError):  # noqa: N818 - of a law of flow.md; the text names the law
    pass


def named(text: str) -> str:
    """The text with short names for ids: d1 is the first deployment, P2 the second package, A1 the first app."""
    return ID.sub(lambda found: f"{LETTERS[int(found[1])]}{int(found[2], 16)}", text)


class Journal:
    """What undoes the writes of the transaction that is open, newest last."""

    def __init__(self) -> None:
        self.undo: list[Callable[[], object]] | None = None

    def note(self, undo: Callable[[], object]) -> None:
        if self.undo is not None:
            self.undo.append(undo)


class Rows(dict[K, V]):
    """A table: rows are immutable values; a transaction that fails leaves it as it was."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def __setitem__(self, key: K, row: V) -> None:
        if key in self:
            before = self[key]
            self._journal.note(lambda: dict.__setitem__(self, key, before))
        else:
            self._journal.note(lambda: dict.__delitem__(self, key))
        super().__setitem__(key, row)

    def __delitem__(self, key: K) -> None:
        before = self[key]
        self._journal.note(lambda: dict.__setitem__(self, key, before))
        super().__delitem__(key)


class Pause:
    """A point at which something else may happen first; the scheduler resumes it. `at` names it."""

    def __init__(self, at: str) -> None:
        self.at = at

    def __await__(self) -> Generator["Pause", Any, Any]:
        return (yield self)


@dataclass
class World:
    """`broken` is the first law that was seen to break; it is raised when the action that broke it is over.

    `looked`: how often each law had something to say. `met`: what the scheduler did to whom, in which state.
    """

    now: datetime = NOON
    waited_seconds: float = 0.0
    journal: Journal = field(default_factory=Journal)
    topics: dict[tuple[str, str], list[Envelope[Event]]] = field(default_factory=dict)
    trace: list[str] | None = None
    broken: str | None = None
    events: int = 0
    looked: Counter[Law] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    on_said: Callable[[Envelope[Event]], None] = lambda _: None
    _ids: dict[str, int] = field(default_factory=dict)

    def clock(self) -> datetime:
        return self.now

    def advance(self, to: datetime) -> None:
        self.now = max(self.now + timedelta(milliseconds=1), to)

    def fresh(self, kind: str) -> UUID:
        number = self._ids[kind] = self._ids.get(kind, 0) + 1
        return UUID(int=KINDS[kind] << 48 | number)

    def must(self, holds: bool, law: Law, detail: object = "") -> None:  # noqa: FBT001 - reads as a sentence
        self.looked[law] += 1
        if not holds and self.broken is None:
            self.broken = f"{law}: {detail}" if detail != "" else str(law)

    def say(self, envelope: Envelope[Event]) -> None:
        """A committed event goes to its topic, behind those of the same key."""
        self.topics.setdefault((envelope.source, envelope.key), []).append(envelope)
        self.events += 1
        self.tell(f"{envelope.source}: {shown(envelope.event)}")
        self.on_said(envelope)

    def tell(self, line: str, at: int | None = None) -> None:
        """`at`: the place in the trace, before what it led to."""
        if self.trace is not None:
            self.trace.insert(len(self.trace) if at is None else at, named(line))


def shown(event: Event) -> str:
    parts = [event.type]
    for name in ("deployment_id", "agent_app_id", "package_id", "package_version", "source", "no", "release", "step"):
        if (value := getattr(event, name, None)) is not None and not (name == "agent_app_id" and len(parts) > 1):
            parts.append(str(value) if name.endswith("_id") else f"{name}={value}")
    parts += [
        f"{name}={value}"
        for name in ("attempt", "code", "freed", "amount")
        if (value := getattr(event, name, None)) is not None
    ]
    return " ".join(parts)
