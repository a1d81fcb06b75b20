"""How one service hears: per topic and key in order, with parking.

A stand-in for servicekit's `Handling` and eventlog's `Parking`, which are I/O; the rules are theirs: a broken message
holds back its subject, an early one only its topic; early ones are tried again without limit.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope
from pac.eventlog import AlreadySeen, Message, TooEarly

from .catalog import Law
from .memory_log import MemoryLog, finished
from .world import World, shown

Handle = Callable[[Any], Coroutine[Any, Any, None]]
# What a trace shows as heard even if nothing is said because of it.
LOUD = (
    "DeploymentAborted",
    "DeploymentCompleted",
    "AgentAppDeleted",
    "RuntimeReady",
    "PackageWithdrawn",
    "CreditsRefused",
)


class Poisoned(Exception):  # noqa: N818 - what the message is
    pass


@dataclass(frozen=True)
class Parked:
    envelope: Envelope[Event]
    early: bool
    attempts: int = 0
    dead: bool = False


@dataclass
class Consumer:
    """`early_limit` is None: what is too early is tried for ever."""

    world: World
    log: MemoryLog
    handlers: Mapping[str, Handle]
    early_limit: int | None = None
    read: dict[tuple[str, str], int] = field(default_factory=dict)
    parked: list[Parked] = field(default_factory=list)
    poisoned: list[Envelope[Event]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.log.service.value

    # ---- what may happen -------------------------------------------------------------------------------------------

    def unread(self) -> list[tuple[str, str]]:
        return [
            place
            for place, told in self.world.topics.items()
            if place[0] in self.handlers and self.read.get(place, 0) < len(told)
        ]

    def next(self, topic: str, key: str) -> Envelope[Event] | None:
        told, read = self.world.topics.get((topic, key), ()), self.read.get((topic, key), 0)
        return told[read] if read < len(told) else None

    def heads(self) -> list[tuple[str, str]]:
        """Topic and key of the parked messages that nothing holds back."""
        found: dict[tuple[str, str], bool] = {}
        broken: set[str] = set()
        for parked in self.parked:
            place = (parked.envelope.source, parked.envelope.key)
            if place not in found:
                found[place] = place[1] not in broken and not parked.dead
            if not parked.early:
                broken.add(place[1])
        return [place for place, free in found.items() if free]

    # ---- what happens ----------------------------------------------------------------------------------------------

    def deliver(self, topic: str, key: str) -> None:
        envelope = self.next(topic, key)
        assert envelope is not None
        self.read[topic, key] = self.read.get((topic, key), 0) + 1
        if any(parked.envelope is envelope for parked in self.parked):
            return  # told again while it lies there
        if self._holds(topic, key) and not self._may_pass(envelope):
            self.parked.append(Parked(envelope, early=True))
            return
        try:
            self._attempt(envelope)
        except TooEarly:
            self.parked.append(Parked(envelope, early=True))
        except OSError:
            self.read[topic, key] -= 1  # not acknowledged: read again
        except Exception as crash:  # noqa: BLE001 - the wrapper sets aside whatever a handler raises
            self.parked.append(Parked(envelope, early=False))
            self._crashed(envelope, crash)

    def retry(self, topic: str, key: str) -> None:
        at = next(
            n for n, parked in enumerate(self.parked) if (parked.envelope.source, parked.envelope.key) == (topic, key)
        )
        parked = replace(self.parked[at], attempts=self.parked[at].attempts + 1)
        try:
            self._attempt(parked.envelope)
        except TooEarly:
            dead = self.early_limit is not None and parked.attempts >= self.early_limit
            self.parked[at] = replace(parked, early=True, dead=dead)
        except OSError:
            pass
        except Exception as crash:  # noqa: BLE001 - see deliver
            self.parked[at] = replace(parked, early=False)
            self._crashed(parked.envelope, crash)
        else:
            del self.parked[at]

    def _holds(self, topic: str, key: str) -> bool:
        return any(
            parked.envelope.key == key and (parked.envelope.source == topic or not parked.early)
            for parked in self.parked
        )

    def _may_pass(self, envelope: Envelope[Event]) -> bool:
        """Decision 8: old news passes, and the next of its stream passes what is merely too early."""
        seen = self.log.seen.get((envelope.source, envelope.stream), 0)
        broken = any(parked.envelope.key == envelope.key and not parked.early for parked in self.parked)
        return envelope.version <= seen or (envelope.version == seen + 1 and not broken)

    def _attempt(self, envelope: Envelope[Event]) -> None:
        if envelope in self.poisoned:
            raise Poisoned
        message, before, line = Message(self.name, envelope), self.world.events, len(self.world.trace or ())
        heard = f"   {self.name} hears {shown(envelope.event)}"
        try:
            finished(self.handlers[envelope.source](message))
            self.log.advance_over(message)
        except AlreadySeen:
            return
        except TooEarly:
            self.world.tell(heard + ": too early")
            raise
        self.world.must(True, Law.ERROR)  # noqa: FBT003 - there was none
        if self.world.events > before or envelope.event.type in LOUD:
            self.world.tell(heard, line)

    def _crashed(self, envelope: Envelope[Event], crash: Exception) -> None:
        if not isinstance(crash, Poisoned):
            told = f"{self.name} cannot handle {envelope.event.type}: {type(crash).__name__}: {crash}"
            self.world.must(False, Law.ERROR, told)  # noqa: FBT003 - see above
