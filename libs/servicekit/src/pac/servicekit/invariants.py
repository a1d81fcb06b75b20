"""Laws that a live service is asked about at any time: each named, bounded in what it reads and how long, read only.

`pac log verify` walks everything; here a sample has to do, so that asking costs a busy service next to nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog, unavailable
from pac.servicekit.answers import reply
from pac.servicekit.metrics import Metrics
from pac.servicekit.requests import caller_of

logger = structlog.get_logger(__name__)
PATH: Final = "/internal/invariants"
STATEMENT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 4.0
KEPT_SECONDS: Final = 1.0
WATCH_SECONDS: Final = 30.0
EXAMPLES_MAX: Final = 3


@dataclass(frozen=True)
class Finding:
    """`checked`: how many things were looked at. `detail` names what breaks the law, or says how things stand."""

    holds: bool
    detail: str
    checked: int


Look = Callable[[AsyncConnection], Awaitable[Finding]]


@dataclass(frozen=True)
class Law:
    """`name` is for machines and stays; `look` reads, in a snapshot of its own that nobody waits for."""

    name: str
    look: Look


@dataclass(frozen=True)
class Judged:
    """The laws looked at, in their order, and those that could not be."""

    laws: Sequence[dict[str, Any]]
    unchecked: Sequence[str]

    @property
    def broken(self) -> list[str]:
        return [law["name"] for law in self.laws if not law["holds"]]


def found(offenders: Sequence[str], checked: int, *, well: str) -> Finding:
    """A law is broken by each offender; the first few are named."""
    if not offenders:
        return Finding(holds=True, detail=well, checked=checked)
    more = f"; {len(offenders) - EXAMPLES_MAX} more" if len(offenders) > EXAMPLES_MAX else ""
    return Finding(holds=False, detail="; ".join(offenders[:EXAMPLES_MAX]) + more, checked=checked)


@dataclass
class Invariants:
    log: EventLog
    laws: Sequence[Law]
    _judged: Judged = Judged((), ())
    _at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Judged:
        """Looked at once a second at most, however many ask; one law after the other, on one connection."""
        async with self._lock:
            if time.monotonic() - self._at > KEPT_SECONDS:
                self._judged, self._at = await self._judge(), time.monotonic()
            return self._judged

    async def _judge(self) -> Judged:
        laws: list[dict[str, Any]] = []
        unchecked = [law.name for law in self.laws]
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                for law in self.laws:
                    try:
                        laws.append({"name": law.name, **asdict(await self._find(law))})
                        unchecked.remove(law.name)
                    except TimeoutError:
                        raise
                    except Exception as fault:  # noqa: BLE001 - one that cannot be looked at must not hide the others
                        logger.warning("law_not_checked", law=law.name, error=type(fault).__name__)
        return Judged(laws, unchecked)

    def broken(self) -> list[str]:
        """As of the last look."""
        return self._judged.broken

    async def _find(self, law: Law) -> Finding:
        async with self._snapshot() as connection:
            return await law.look(connection)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncConnection]:
        with unavailable("the log"):
            async with self.log.engine.connect() as connection:
                snapshot = await connection.execution_options(isolation_level="REPEATABLE READ")
                milliseconds = round(STATEMENT_SECONDS * 1000)
                await snapshot.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
                await snapshot.execute(text("SET TRANSACTION READ ONLY"))
                yield snapshot
                await snapshot.rollback()

    async def get(self, request: web.Request) -> web.Response:
        """For the gateway, which composes the answer of all services from it."""
        if not caller_of(request).operator:
            raise Refused(ErrorCode.FORBIDDEN)
        judged = await self.look()
        return reply({"laws": list(judged.laws), "unchecked": list(judged.unchecked)})


@dataclass(frozen=True)
class LawWatch:
    """Looks now and then, so that health and metrics can name what is broken without anybody waiting for it."""

    invariants: Invariants
    metrics: Metrics
    every_seconds: float = WATCH_SECONDS
    name: str = "laws"

    async def run(self) -> None:
        said: list[str] = []
        while True:
            judged = await self.invariants.look()
            self._show(judged)
            if (broken := judged.broken) != said:
                logger.error("laws_broken", laws=broken) if broken else logger.info("laws_hold_again")
                said = broken
            await asyncio.sleep(self.every_seconds)

    def _show(self, judged: Judged) -> None:
        for law in judged.laws:
            self.metrics.law_broken.labels(law["name"]).set(float(not law["holds"]))
        for name in judged.unchecked:
            self.metrics.law_broken.labels(name).set(float("nan"))
