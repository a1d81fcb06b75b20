"""The words of the event log that pure code may use: deciders, what they were told, and how they say no."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


class Placed(NamedTuple):
    """An event and where it stands in its stream: what a fold needs. Who caused it says the Envelope."""

    stream: str
    version: int
    event: Event


@dataclass(frozen=True)
class Decider(Generic[S, C, E]):
    """What may happen in one kind of stream. `decide` and `evolve` are pure; the clock comes inside the command."""

    category: str  # the stream of `id` is `<category>-<id>`
    initial: S
    decide: Callable[[S, C], Sequence[E]]
    evolve: Callable[[S, E], S]

    def stream(self, stream_id: UUID | str) -> str:
        return f"{self.category}-{stream_id}"

    def fold(self, events: Sequence[E], state: S | None = None) -> S:
        now = self.initial if state is None else state
        for event in events:
            now = self.evolve(now, event)
        return now


@dataclass(frozen=True)
class Recorded(Generic[S]):
    """A state and the version of the stream it is the fold of; version 0 is a stream that does not exist."""

    state: S
    version: int

    @property
    def is_empty(self) -> bool:
        return self.version == 0


@dataclass(frozen=True)
class Cause:
    """Why something is appended, and by whom; recorded with every event. `actor` is an opaque id."""

    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    traceparent: str | None = None

    def within(self, traceparent: str | None) -> "Cause":
        """The same cause, in a span of its trace."""
        return self if traceparent == self.traceparent else replace(self, traceparent=traceparent)


@dataclass
class Hearing:
    """How a message stands to its consumer's inbox."""

    passed: int = 0  # how many events of its stream right before it had no effect here: the inbox moves over them too
    is_recorded: bool = False  # a transaction with the message as its cause is committed


@dataclass(frozen=True)
class Message(Generic[E_co]):
    """An event as `consumer` hears it. A transaction with it as cause writes the consumer's inbox row as well."""

    consumer: str
    envelope: Envelope[E_co]
    hearing: Hearing = field(default_factory=Hearing, compare=False, repr=False)

    @property
    def event(self) -> E_co:
        return self.envelope.event

    @property
    def cause(self) -> Cause:
        told = self.envelope
        return Cause(told.actor, told.correlation_id, told.id, told.traceparent)

    @property
    def traceparent(self) -> str | None:
        return self.envelope.traceparent

    def within(self, traceparent: str | None) -> "Message[E_co]":
        """The same message, in a span of its trace."""
        if traceparent == self.traceparent:
            return self
        return replace(self, envelope=replace(self.envelope, traceparent=traceparent))


@dataclass(frozen=True)
class Span:
    """Events in a row of one stream, first and last among them."""

    source: str
    stream: str
    first: int
    last: int


@dataclass(frozen=True, order=True)
class Position:
    """Where a reader stands: everything up to and with this is behind it."""

    xid: int = 0
    number: int = 0


class TooEarly(Exception):  # noqa: N818 - not a failure: parked and tried again
    """News that cannot be placed yet, because topics are not ordered among themselves."""


class AlreadySeen(Exception):  # noqa: N818 - not a failure: the message's effects are there
    """The inbox of this consumer is at or past the message."""


class Conflict(Exception):  # noqa: N818 - the loser tries again
    """The stream has moved on since it was read."""

    def __init__(self, stream: str, expected: int | None = None, actual: int | None = None) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}" if expected is not None else stream)
        self.stream, self.expected, self.actual = stream, expected, actual


class EventTooLarge(ValueError):  # noqa: N818 - says what is the matter with the event
    """Nothing is written: Kafka would refuse it, and everything after it would wait for ever."""


class LogUnavailable(OSError):  # noqa: N818 - the name says what to do: wait
    """Postgres is away: wait in place and try again. Nothing is known to have happened."""
