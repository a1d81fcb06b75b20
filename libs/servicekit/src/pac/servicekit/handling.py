"""What becomes of one message: done, old, set aside, or waited for. The one place that decides it, for all services."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, get_args, get_type_hints

import structlog
from pydantic import TypeAdapter, ValidationError

from pac.contracts.envelope import NotAnEvent, from_kafka
from pac.contracts.topics import ServiceName
from pac.eventlog import AlreadySeen, EventLog, Message, TooEarly
from pac.servicekit.metrics import Metrics

logger = structlog.get_logger(__name__)
Handle = Callable[[Message[Any]], Awaitable[None]]
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Subscription:
    """`handler`: `async def on_package_event(self, message: Message[PackageEvent])`; its union is what is parsed."""

    source: ServiceName
    handler: Handle

    @property
    def topic(self) -> str:
        return self.source.topic

    def adapter(self) -> TypeAdapter[Any]:
        hints = get_type_hints(self.handler, include_extras=True)
        hints.pop("return", None)
        [annotation] = hints.values()
        [union] = get_args(annotation)
        return TypeAdapter(union)


class Record(Protocol):
    """A message as Kafka gives it, or as it was parked."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Any: ...


@dataclass(frozen=True)
class Aside:
    """Why a message cannot be handled now. `early`: it waits for other news; else something is wrong with it."""

    reason: str
    early: bool


class Shelf(Protocol):
    """Where messages are set aside, per subject and in order (pac.eventlog's Parking behind it)."""

    async def holds(self, subject: str, topic: str) -> bool: ...
    async def put(self, record: Record, subject: str, aside: Aside) -> None: ...
    def heard(self, subject: str) -> None: ...


class GivenUp(Exception):  # noqa: N818 - not a fault
    """What is needed stayed away for as long as we may wait in place; the message is to be read again."""


def subject_of(record: Record) -> str:
    if record.key is None:
        return f"{record.topic}-{record.partition}"
    return record.key.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


@dataclass
class Handling:
    """Handles records of all subscriptions of one consumer."""

    consumer: str
    log: EventLog
    shelf: Shelf
    metrics: Metrics
    handlers: Mapping[str, tuple[Handle, TypeAdapter[Any]]]
    wait_seconds: float
    handler_timeout_seconds: float = 30.0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _away: bool = False

    async def take(self, record: Record) -> None:
        """Returns when all effects of the record are in Postgres. Raises GivenUp: then nothing may be acknowledged."""
        outcome = await self._in_place(lambda: self._take(record))
        self.metrics.consumed.labels(record.topic, outcome).inc()

    async def _take(self, record: Record) -> str:
        subject = subject_of(record)
        if await self.shelf.holds(subject, record.topic):
            await self.shelf.put(record, subject, Aside("behind another message of the same subject", early=True))
            return "behind"
        aside = await self.attempt(record)
        if aside is None:
            self.shelf.heard(subject)
            return "done"
        await self.shelf.put(record, subject, aside)
        return "early" if aside.early else "parked"

    async def attempt(self, record: Record) -> Aside | None:
        """Hands the message to its handler, once. None: its effects are there. OSError: something is away."""
        handle, adapter = self.handlers[record.topic]
        try:
            envelope = from_kafka(record.value or b"", _texts(record.headers), adapter)
        except (NotAnEvent, ValidationError, ValueError) as bad:
            logger.error(  # noqa: TRY400 - the trace would quote the data
                "message_unreadable", topic=record.topic, offset=record.offset, error=type(bad).__name__
            )
            return Aside(f"not readable: {_told(bad)}", early=False)
        message = Message(self.consumer, envelope)
        with structlog.contextvars.bound_contextvars(
            event_id=str(envelope.id), stream=envelope.stream, traceparent=envelope.traceparent or ""
        ):
            return await self._handed(handle, message)

    async def _handed(self, handle: Handle, message: Message[Any]) -> Aside | None:
        told = message.envelope
        try:
            async with asyncio.timeout(self.handler_timeout_seconds):
                await handle(message)
                if await self.log.inbox(self.consumer, told.source, told.stream) < told.version:
                    await self.log.advance(message)
        except AlreadySeen:
            return None
        except TooEarly as early:
            logger.info("message_too_early", type=told.event.type, version=told.version)
            return Aside(f"too early: {early}"[:500], early=True)
        except OSError:
            raise
        except Exception as crash:
            logger.exception("message_set_aside", type=told.event.type, version=told.version)
            return Aside(f"{type(crash).__name__} in the handler of {told.event.type}", early=False)
        return None

    async def _in_place(self, step: Callable[[], Awaitable[str]]) -> str:
        """Repeats the step while something is away, with growing pauses; in vain, or at shutdown, GivenUp."""
        deadline, pause = time.monotonic() + self.wait_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                outcome = await step()
            except OSError as away:
                if not self._away:
                    self._away = True  # said once, not at every try
                    logger.warning("consumer_waits", error=type(away).__name__)
                self.metrics.consumer_waits.inc()
                if self.stopping.is_set() or time.monotonic() >= deadline:
                    raise GivenUp from away
                await self._pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads, hides nothing
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                if self._away:
                    self._away = False
                    logger.info("consumer_goes_on")
                return outcome

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return


def _texts(headers: Any) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {name: value if isinstance(value, str) else value.decode() for name, value in pairs}


def _told(bad: Exception) -> str:
    """The fault without the data: pydantic's own text quotes its input."""
    if isinstance(bad, ValidationError):
        places = sorted({".".join(str(part) for part in error["loc"]) for error in bad.errors(include_input=False)})
        return f"not of this shape at {', '.join(places)}"[:300]
    return str(bad)[:300] if isinstance(bad, NotAnEvent) else type(bad).__name__
