"""What becomes of one message: done, old, set aside, or waited for. The one place that decides it, for all services."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, get_args, get_type_hints

import structlog
from pydantic import TypeAdapter, ValidationError

from pac.contracts.envelope import Envelope, NotAnEvent, attributes_of, from_kafka
from pac.contracts.topics import ServiceName
from pac.contracts.upcasting import NewerThanKnown
from pac.eventlog import AlreadySeen, Conflict, EventLog, Hearing, Message, Raw, TooEarly
from pac.eventlog.tracing import SpanKind, traced
from pac.servicekit.metrics import Metrics
from pac.servicekit.passing import Passed, Passing

logger = structlog.get_logger(__name__)
Handle = Callable[[Message[Any]], Awaitable[None]]
WithoutEffect = Callable[[Raw, Message[Any]], Awaitable[None]]
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

    def __post_init__(self) -> None:
        self.passing = Passing(self.consumer, self.log)

    @property
    def is_out_of_time(self) -> bool:
        """The batch has taken so long that the rest had better be read again: Kafka wants to be polled."""
        return time.monotonic() >= self._until

    async def look(self, records: Sequence[Raw]) -> None:
        """To be called before a batch, whose time begins here. Raises GivenUp."""
        self._until = time.monotonic() + self.wait_seconds
        self.passing.clear()  # what a batch before could not settle is read again

        async def look() -> str:
            await self.shelf.look(raw.subject for raw in records)
            return "looked"

        await self._in_place(look)

    async def take(self, raw: Raw) -> None:
        """Returns when all effects of the message are in Postgres; that one had none is noted until `settle`.

        Raises GivenUp: then nothing may be acknowledged.
        """
        outcome = await self._in_place(lambda: self._take(raw, self._note))
        self.metrics.consumed.labels(raw.topic, outcome).inc()

    async def settle(self) -> list[Raw]:
        """To be called after a batch, before anything is acknowledged. Gives the messages that must be read again."""
        noted = self.passing.all()

        async def settle() -> str:
            await self._settle(noted)
            return "settled"

        try:
            await self._in_place(settle)
        except GivenUp:
            return [raw for passed in noted for raw in passed.records]
        return []

    async def _take(self, raw: Raw, without_effect: WithoutEffect) -> str:
        if self.shelf.holds(raw.subject, raw.topic):
            await self._settle(self.passing.of_subject(raw.subject))
            if not await self._may_pass(raw):
                return await self._set_behind(raw)
        try:
            message = self._read(raw)
            has_effect = await self._attempt(raw, message, without_effect)
        except TooEarly as early:
            logger.info("message_too_early", topic=raw.topic, subject=raw.subject)
            return await self._set_aside(raw, f"too early: {early}", early=True)
        except OSError:
            raise
        except Unreadable as bad:
            logger.error("message_unreadable", topic=raw.topic, offset=raw.offset, reason=str(bad))  # noqa: TRY400 - the trace would quote the data
            return await self._set_aside(raw, str(bad), early=False)
        except Exception as crash:
            logger.exception("message_set_aside", topic=raw.topic, subject=raw.subject)
            return await self._set_aside(raw, type(crash).__name__, early=False)
        if not has_effect:
            return "passed"
        await self.shelf.heard(raw.subject)
        return "done"

    async def _set_aside(self, raw: Raw, reason: str, *, early: bool) -> str:
        """Behind what came before it: if that cannot be passed over, the message was tried before its time."""
        if await self._settle(self.passing.of_subject(raw.subject)):
            return await self._set_behind(raw)
        await self.shelf.put(raw, reason, early=early)
        return "early" if early else "parked"

    async def _set_behind(self, raw: Raw) -> str:
        # Marked as early, so that it holds back nothing but its own topic: what is before it does the rest.
        await self.shelf.put(raw, "behind another message of the same subject", early=True)
        return "behind"

    async def _settle(self, noted: Sequence[Passed]) -> list[Passed]:
        """Gives those with a gap before them; their messages have been looked at one by one."""
        left = await self.passing.move_over(noted)
        for passed in left:
            try:
                for raw in passed.records:
                    await self._take(raw, self._advance)
            except BaseException:
                self.passing.put_back(passed)  # what could not be looked at may not be acknowledged
                raise
        for subject in {passed.records[0].subject for passed in noted if passed not in left}:
            await self.shelf.heard(subject)
        return left

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
        await self._attempt(raw, self._read(raw), self._advance)

    def _read(self, raw: Raw) -> Message[Any]:
        _, adapter = self.handlers[raw.topic]
        try:
            envelope = from_kafka(raw.value, raw.headers, adapter)
        except (NotAnEvent, NewerThanKnown, ValidationError, ValueError) as bad:
            raise Unreadable(_told(bad)) from None
        return Message(self.consumer, envelope, Hearing(passed=self.passing.before(envelope)))

    async def _attempt(self, raw: Raw, message: Message[Any], without_effect: WithoutEffect) -> bool:
        """Whether it had an effect; `without_effect` is asked to see to the inbox of one that had none."""
        envelope = message.envelope
        told = {"event_id": str(envelope.id), "stream": envelope.stream}
        with (
            traced(f"hear {envelope.event.type}", envelope.traceparent, kind=SpanKind.CONSUMER, **told) as here,
            structlog.contextvars.bound_contextvars(**told, **_named(envelope), traceparent=here.traceparent or ""),
        ):
            message = message.within(here.traceparent)
            return await self._handled(raw, message, without_effect)

    async def _handled(self, raw: Raw, message: Message[Any], without_effect: WithoutEffect) -> bool:
        handle, _ = self.handlers[raw.topic]
        for races_lost in range(RACES_LOST + 1):
            try:
                async with asyncio.timeout(self.handler_timeout_seconds):
                    await handle(message)
                    if not message.hearing.is_recorded:
                        await without_effect(raw, message)
                        return False
            except AlreadySeen:
                pass
            except Conflict:
                if races_lost == RACES_LOST:
                    raise
                await asyncio.sleep(random.uniform(0, 0.01 * 2**races_lost))  # noqa: S311 - spreads, hides nothing
                continue
            self.passing.forget(message.envelope)
            return True
        raise AssertionError("unreachable")

    async def _note(self, raw: Raw, message: Message[Any]) -> None:
        if not self.passing.note(raw, message.envelope):
            await self._advance(raw, message)

    async def _advance(self, _: Raw, message: Message[Any]) -> None:
        await self.log.advance(message)

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


def _named(envelope: Envelope[Any]) -> dict[str, str]:
    """The deployment that an event is about, for the log's lines."""
    deployment_id = getattr(envelope.event, "deployment_id", None)
    return {} if deployment_id is None else {"deployment_id": str(deployment_id)}


def _told(bad: Exception) -> str:
    """The fault without the data: pydantic's own text quotes its input."""
    if isinstance(bad, ValidationError):
        places = sorted({".".join(str(part) for part in error["loc"]) for error in bad.errors(include_input=False)})
        return f"not of this shape at {', '.join(places)}"[:300]
    if isinstance(bad, NewerThanKnown):
        return str(bad)[:300]
    return f"no event: {bad}"[:300] if isinstance(bad, NotAnEvent) else f"no event ({type(bad).__name__})"
