"""Waking those who wait for events: at once within the process, by one coalesced NOTIFY in the others.

NOTIFY inside an append's transaction would serialise the commits of the whole server, so it has a connection of its own
and is said at most every 10 ms. It may be lost at any time: whoever waits also looks by itself.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import URL

NOTIFY_EVERY_SECONDS = 0.01
RECONNECT_SECONDS = 0.5
CLOSE_SECONDS = 1.0
CHANNEL = "pac_log"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True)
class Ticket:
    """Taken before looking, so that nothing that happens while one looks is slept through."""

    event: asyncio.Event

    async def wait(self, timeout_seconds: float) -> bool:
        """True if woken, False if time was up."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.event.wait()
        except TimeoutError:
            return False
        return True


class Wake:
    """Starts its two connections when they are first needed; `close` ends them."""

    def __init__(self, url: URL) -> None:
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._event = asyncio.Event()
        self._unsaid = asyncio.Event()
        self._speaker: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._own_pid: int | None = None
        self.listening = False  # then a NOTIFY of another process is heard

    def committed(self) -> None:
        """Something was appended by this process."""
        self.heard()
        self._unsaid.set()
        if self._speaker is None:
            self._speaker = asyncio.create_task(self._kept_up(self._speak), name="log-notify")

    def heard(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    def ticket(self) -> Ticket:
        if self._listener is None:
            self._listener = asyncio.create_task(self._kept_up(self._listen), name="log-listen")
        return Ticket(self._event)

    async def close(self) -> None:
        tasks = [task for task in (self._speaker, self._listener) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:  # a server that does not answer is not waited for: psycopg asks it for seconds to let go
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)

    async def _kept_up(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        while True:
            try:
                async with await self._connected() as connection:
                    await work(connection)
            except psycopg.Error:
                await asyncio.sleep(RECONNECT_SECONDS)  # an outage; the poll goes on meanwhile

    async def _connected(self) -> Connection:
        connecting = asyncio.ensure_future(
            psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, connect_timeout=5, keepalives_idle=10, application_name="pac-wake"
            )
        )
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # A connection that is dropped half-way stays at the server for the minute of its authentication.
            with contextlib.suppress(psycopg.Error):
                await (await connecting).close()
            raise

    async def _speak(self, connection: Connection) -> None:
        self._own_pid = connection.info.backend_pid
        while True:
            await self._unsaid.wait()
            self._unsaid.clear()
            await connection.execute(f"NOTIFY {CHANNEL}")
            await asyncio.sleep(NOTIFY_EVERY_SECONDS)

    async def _listen(self, connection: Connection) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        self.listening = True
        self.heard()  # whatever was said while nobody listened
        try:
            async with contextlib.aclosing(connection.notifies()) as notifications:
                async for notification in notifications:
                    if notification.pid != self._own_pid:
                        self.heard()
        finally:
            self.listening = False
