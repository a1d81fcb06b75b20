"""What becomes of one message: done, old, set aside, or waited for. The one place that decides it, for all services."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, get_args, get_type_hints

import structlog
from pydantic import TypeAdapter, ValidationError

from pac.contracts.envelope import NotAnEvent, attributes_of, from_kafka
from pac.contracts.topics import ServiceName
from pac.contracts.upcasting import NewerThanKnown
from pac.eventlog import AlreadySeen, Conflict, EventLog, Message, Raw, TooEarly
from pac.servicekit.metrics import Metrics

logger = structlog.get_logger(__name__)
Handle = Callable[[Message[Any]], Awaitable[None]]
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 3.0
NO_TOPIC: Final = ""  # what holds a subject on any topic is broken, not merely too early
RACES_LOST: Final = 5  # so many times a message is begun anew because another transaction was first


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


class Shelf(Protocol):
    """Where messages are set aside, per subject and in order."""

    async def look(self, subjects: Iterable[str]) -> None: ...
    def holds(self, subject: str, topic: str) -> bool: ...
    async def put(self, raw: Raw, reason: str, *, early: bool) -> None: ...
    async def heard(self, subject: str) -> None: ...


class Unreadable(Exception):  # noqa: N818 - what the message is
    """Not an event of the topic's service. The text names places, never data."""


class GivenUp(Exception):  # noqa: N818 - not a fault
    """What is needed stayed away for as long as we may wait in place; the message is to be read again."""


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
    _until: float = float("inf")

    @property
    def is_out_of_time(self) -> bool:
        """The batch has taken so long that the rest had better be read again: Kafka wants to be polled."""
        return time.monotonic() >= self._until

    async def look(self, records: Sequence[Raw]) -> None:
        """To be called before a batch, whose time begins here. Raises GivenUp."""
        self._until = time.monotonic() + self.wait_seconds

        async def look() -> str:
            await self.shelf.look(raw.subject for raw in records)
            return "looked"

        await self._in_place(look)

    async def take(self, raw: Raw) -> None:
        """Returns when all effects of the message are in Postgres. Raises GivenUp: then nothing may be acknowledged."""
        outcome = await self._in_place(lambda: self._take(raw))
        self.metrics.consumed.labels(raw.topic, outcome).inc()

    async def _take(self, raw: Raw) -> str:
        if self.shelf.holds(raw.subject, raw.topic) and not await self._may_pass(raw):
            # Marked as early, so that it holds back nothing but its own topic: what is before it does the rest.
            await self.shelf.put(raw, "behind another message of the same subject", early=True)
            return "behind"
        try:
            await self.attempt(raw)
        except TooEarly as early:
            logger.info("message_too_early", topic=raw.topic, subject=raw.subject)
            await self.shelf.put(raw, f"too early: {early}", early=True)
            return "early"
        except OSError:
            raise
        except Unreadable as bad:
            logger.error("message_unreadable", topic=raw.topic, offset=raw.offset, reason=str(bad))  # noqa: TRY400 - the trace would quote the data
            await self.shelf.put(raw, str(bad), early=False)
            return "parked"
        except Exception as crash:
            logger.exception("message_set_aside", topic=raw.topic, subject=raw.subject)
            await self.shelf.put(raw, type(crash).__name__, early=False)
            return "parked"
        await self.shelf.heard(raw.subject)
        return "done"

    async def _may_pass(self, raw: Raw) -> bool:
        """What others wait for never waits behind them: after a replay, what was lost comes later than what followed.

        So old news passes everything, and the next of its stream passes those that are merely too early.
        """
        if (place := place_of(raw)) is None:
            return False
        source, stream, version = place
        seen = await self.log.inbox(self.consumer, source, stream)
        return version <= seen or (version == seen + 1 and not self.shelf.holds(raw.subject, NO_TOPIC))

    async def attempt(self, raw: Raw) -> None:
        """Hands the message to its handler, once; afterwards its effects and its inbox row are there, or it raises.

        TooEarly: for later. OSError: something is away. Anything else: the message or its handler is broken.
        """
        handle, adapter = self.handlers[raw.topic]
        try:
            envelope = from_kafka(raw.value, raw.headers, adapter)
        except (NotAnEvent, NewerThanKnown, ValidationError, ValueError) as bad:
            raise Unreadable(_told(bad)) from None
        message = Message(self.consumer, envelope)
        with structlog.contextvars.bound_contextvars(
            event_id=str(envelope.id), stream=envelope.stream, traceparent=envelope.traceparent or ""
        ):
            for races_lost in range(RACES_LOST + 1):
                try:
                    async with asyncio.timeout(self.handler_timeout_seconds):
                        await handle(message)
                        if await self.log.inbox(self.consumer, envelope.source, envelope.stream) < envelope.version:
                            await self.log.advance(message)  # the handler had no effect to write
                except AlreadySeen:
                    return
                except Conflict:
                    if races_lost == RACES_LOST:
                        raise
                    await asyncio.sleep(random.uniform(0, 0.01 * 2**races_lost))  # noqa: S311 - spreads, hides nothing
                else:
                    return

    async def _in_place(self, step: Callable[[], Awaitable[str]]) -> str:
        """Repeats the step while something is away, with growing pauses; in vain, or at shutdown, GivenUp."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                outcome = await step()
            except OSError as away:
                if not self._away:
                    self._away = True  # said once, not at every try
                    logger.warning("consumer_waits", error=type(away).__name__)
                self.metrics.consumer_waits.inc()
                if self.stopping.is_set() or self.is_out_of_time:
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


def place_of(raw: Raw) -> tuple[str, str, int] | None:
    """Source, stream and version, as the headers say; None where they do not."""
    try:
        told = attributes_of(raw.headers)
        return told["ce_source"], told["ce_subject"], int(told["ce_sequence"])
    except (KeyError, ValueError):
        return None


def _told(bad: Exception) -> str:
    """The fault without the data: pydantic's own text quotes its input."""
    if isinstance(bad, ValidationError):
        places = sorted({".".join(str(part) for part in error["loc"]) for error in bad.errors(include_input=False)})
        return f"not of this shape at {', '.join(places)}"[:300]
    if isinstance(bad, NewerThanKnown):
        return str(bad)[:300]
    return f"no event: {bad}"[:300] if isinstance(bad, NotAnEvent) else f"no event ({type(bad).__name__})"
