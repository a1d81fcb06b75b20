"""GET /api/deployments/{id}/logs: what an agent has printed, where its runtime gives it; a page, or followed."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from aiohttp import hdrs, web
from sqlalchemy import select

from pac.contracts.base import iso
from pac.contracts.bodies.logs import LogLineView, LogsReply
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog
from pac.runtime_notifier.environments import EnvironmentLost
from pac.runtime_notifier.errands import Facts
from pac.runtime_notifier.hiding import Hiding
from pac.runtime_notifier.runtime import Health, LogLine, NoOutput, Output, Unclear, Unknown
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.scrubbing import without
from pac.runtime_notifier.tables import DELIVERIES, WIRES
from pac.servicekit.http import caller_of, reply, stopping_of, uuid_in

LIMIT_MAX_BYTES: Final = 65_536
EVENT_STREAM: Final = "text/event-stream"
LAST_EVENT_ID: Final = "Last-Event-ID"
RETRY: Final = b"retry: 1000\n\n"  # milliseconds until a browser comes back
HEARTBEAT: Final = b": still here\n\n"
OVER: Final = frozenset({"failed", "stopped"})
UNKNOWN: Final = "Deployment not found"
NOT_KEPT: Final = "The runtime no longer keeps the output of this deployment"
NOT_GIVEN: Final = "This runtime gives no output of its agents"
WITHHELD: Final = "The output is withheld: what is to be hidden in it cannot be read any more"


class Mark(NamedTuple):
    """A line's place: its time, and the how-manieth of that time it is."""

    at: datetime
    number: int = 1

    def __str__(self) -> str:
        return f"{iso(self.at)}/{self.number}"


@dataclass(frozen=True)
class Pace:
    """In seconds: between looks, of silence before a sign of life, and of following at most."""

    look_seconds: float = 1.0
    heartbeat_seconds: float = 15.0
    longest_seconds: float = 900.0


@dataclass
class Seats:
    """How many follow in this process; bounded for each account and in all."""

    per_account: int = 10
    overall: int = 200
    _taken: Counter[UUID] = field(default_factory=Counter)

    @contextmanager
    def seat(self, account_id: UUID) -> Iterator[None]:
        """Refused (429) when there is none."""
        if self._taken[account_id] >= self.per_account or self._taken.total() >= self.overall:
            raise Refused(ErrorCode.THROTTLED, "Too many logs are followed", retry_after_seconds=5)
        self._taken[account_id] += 1
        try:
            yield
        finally:
            self._taken -= Counter([account_id])


@dataclass(frozen=True)
class Given:
    """The wire under which a deployment was given last, and the values that its agent may print."""

    deployment_id: UUID
    wire_id: str
    runtime: str
    hidden: Sequence[str] = field(repr=False)

    def shown(self, line: LogLine) -> LogLineView:
        return LogLineView(at=line.at, stream=line.stream, text=without(line.text, self.hidden))


@dataclass(frozen=True)
class Logs:
    log: EventLog
    runtimes: Runtimes
    hiding: Hiding
    seats: Seats = field(default_factory=Seats)
    pace: Pace = Pace()

    async def get_logs(self, request: web.Request) -> web.StreamResponse:
        account_id, limit = caller_of(request).account_id, limit_in(request)
        given = await self._given(account_id, uuid_in(request, "deployment_id"))
        output = await self._output(given, limit)
        if EVENT_STREAM in request.headers.get(hdrs.ACCEPT, ""):
            assert account_id is not None
            with self.seats.seat(account_id):
                return await self._stream(request, given, output)
        lines = tuple(map(given.shown, output.lines))
        return reply(LogsReply(deployment_id=given.deployment_id, lines=lines, truncated=output.truncated))

    async def _given(self, account_id: UUID | None, deployment_id: UUID) -> Given:
        deliveries, wires = DELIVERIES.c, WIRES.c
        of_deployment = select(deliveries.app_id, deliveries.facts).where(deliveries.deployment_id == deployment_id)
        of_wires = select(wires.id, wires.runtime).where(wires.deployment_id == deployment_id)
        newest = of_wires.order_by(wires.given_at.desc()).limit(1)
        async with self.log.reading() as connection:
            row = (await connection.execute(of_deployment)).one_or_none()
            wire = (await connection.execute(newest)).one_or_none()
        facts = Facts.model_validate(row.facts) if row is not None else None
        if row is None or facts is None or wire is None or facts.account_id != account_id:
            raise Refused(ErrorCode.NOT_FOUND, UNKNOWN)
        try:
            hidden = await self.hiding.values(row.app_id, facts, wire.runtime)
            return Given(deployment_id, wire.id, wire.runtime, hidden)
        except EnvironmentLost:
            raise Refused(ErrorCode.NO_LOGS, WITHHELD) from None

    async def _output(self, given: Given, limit_bytes: int) -> Output:
        """Refused if there is none (409), or nobody says at the moment (503)."""
        match await self.runtimes[given.runtime].logs(given.wire_id, limit_bytes):
            case Output() as output:
                return output
            case NoOutput():
                health = await self.runtimes[given.runtime].health(given.wire_id)
                if isinstance(health, Unclear):
                    raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1)
                raise Refused(ErrorCode.NO_LOGS, NOT_KEPT if isinstance(health, Unknown) else NOT_GIVEN)
            case Unclear():
                raise Refused(ErrorCode.UNAVAILABLE, "The runtime does not answer", retry_after_seconds=1)

    # ---- followed ----------------------------------------------------------------------------------------------------

    async def _stream(self, request: web.Request, given: Given, output: Output) -> web.StreamResponse:
        """Ends with the agent, with this process, or after a while; a browser comes back and goes on where it was."""
        headers = {hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
        after = mark_in(request)
        fresh = newer(output.lines, after)
        if after is not None and not fresh and await self._is_over(given):
            return web.Response(status=204, headers=headers)  # tells a browser not to come back
        response = web.StreamResponse(headers=headers)
        response.content_type = EVENT_STREAM
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        await response.write(RETRY)
        began = spoken = time.monotonic()
        while True:
            if fresh:
                await response.write(b"".join(message_of(mark, given.shown(line)) for mark, line in fresh))
                after, spoken = fresh[-1][0], time.monotonic()
            elif await self._is_over(given):
                break
            elif time.monotonic() - spoken >= self.pace.heartbeat_seconds:
                await response.write(HEARTBEAT)
                spoken = time.monotonic()
            if time.monotonic() - began >= self.pace.longest_seconds or await self._ends(request):
                break
            match await self.runtimes[given.runtime].logs(given.wire_id, LIMIT_MAX_BYTES):
                case Output(lines=lines):
                    fresh = newer(lines, after)
                case NoOutput() | Unclear():
                    fresh = []
        await response.write_eof()
        return response

    async def _ends(self, request: web.Request) -> bool:
        """Pauses until the next look; True when the process is to end. A client that has left is an OSError."""
        try:
            async with asyncio.timeout(self.pace.look_seconds):
                await stopping_of(request).wait()
        except TimeoutError:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client has left") from None
            return False
        return True

    async def _is_over(self, given: Given) -> bool:
        match await self.runtimes[given.runtime].health(given.wire_id):
            case Health(status=status):
                return status in OVER
            case Unknown():
                return True
            case Unclear():
                return False


def newer(lines: Sequence[LogLine], after: Mark | None) -> list[tuple[Mark, LogLine]]:
    """The lines after a mark, with their own."""
    seen: Counter[datetime] = Counter()
    found = []
    for line in lines:
        seen[line.at] += 1
        mark = Mark(line.at, seen[line.at])
        if after is None or mark > after:
            found.append((mark, line))
    return found


def message_of(mark: Mark, line: LogLineView) -> bytes:
    return f"id: {mark}\nevent: line\ndata: {line.model_dump_json()}\n\n".encode()


def limit_in(request: web.Request) -> int:
    text = request.query.get("limit_bytes", str(LIMIT_MAX_BYTES))
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= LIMIT_MAX_BYTES:
        raise Refused(ErrorCode.INVALID_REQUEST, details=[f"limit_bytes: a whole number from 1 to {LIMIT_MAX_BYTES}"])
    return int(text)


def mark_in(request: web.Request) -> Mark | None:
    """The last line that was seen: a browser that returns sends it."""
    if not (text := request.headers.get(LAST_EVENT_ID)):
        return None
    at, _, number = text.partition("/")
    try:
        mark = Mark(datetime.fromisoformat(at), int(number))
    except ValueError:
        mark = None
    if mark is None or mark.at.tzinfo is None:
        raise Refused(ErrorCode.INVALID_REQUEST, details=[f"{LAST_EVENT_ID}: the id of a line"])
    return mark
