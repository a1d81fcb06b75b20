"""Keeps readers running: one that fails is started again after a pause, and everybody learns of it once."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from pac.servicekit.metrics import Metrics

logger = structlog.get_logger(__name__)
PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
CALM_SECONDS = 60.0  # after so long without failure the next pause is short again


class Reader(Protocol):
    """Runs until cancelled."""

    @property
    def name(self) -> str: ...
    async def run(self) -> None: ...


@dataclass
class Supervisor:
    metrics: Metrics
    pause_seconds: float = PAUSE_SECONDS
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _states: dict[str, str] = field(default_factory=dict)

    @property
    def states(self) -> dict[str, str]:
        return dict(self._states)

    def start(self, readers: Sequence[Reader]) -> None:
        for reader in readers:
            if reader.name in self._tasks:
                raise ValueError(f"two readers are called {reader.name}")
            self._tasks[reader.name] = asyncio.create_task(self._keep(reader), name=f"reader {reader.name}")

    async def stop(self, readers: Sequence[Reader], *, timeout_seconds: float) -> None:
        tasks = [self._tasks.pop(reader.name) for reader in readers if reader.name in self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_seconds)
            for task in late:
                logger.warning("reader_did_not_stop", reader=task.get_name())

    async def _keep(self, reader: Reader) -> None:
        pause, away = self.pause_seconds, False
        while True:
            began = time.monotonic()
            self._states[reader.name] = "running"
            try:
                await reader.run()
                fault: Exception | None = None
            except OSError as outage:
                fault = outage
                if not away:
                    logger.warning("reader_waits", reader=reader.name, error=type(outage).__name__)
                away = True
            except Exception as crash:
                fault = crash
                logger.exception("reader_failed", reader=reader.name)
            if time.monotonic() - began > CALM_SECONDS:
                pause, away = self.pause_seconds, False
            self._states[reader.name] = f"waiting ({type(fault).__name__})" if fault else "ended"
            self.metrics.reader_restarts.labels(reader.name).inc()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancels a task of ours and waits until it is over."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
