"""The file that says which processes are ours. It is the truth after a supervisor was killed."""

import asyncio
import contextlib
import json
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from pac.cli.local.process import descendants, end_at_once, started_at

LEFTOVER_STOP_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True)
class Record:
    name: str
    pid: int
    started: str
    stop_signal: int

    def is_alive(self) -> bool:
        return started_at(self.pid) == self.started

    def is_gone(self) -> bool:
        return not self.is_alive()


@dataclass(frozen=True)
class Records:
    """Written in one piece after every change, so that a reader never sees half a file."""

    path: Path

    def read(self) -> list[Record]:
        try:
            return [Record(**entry) for entry in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError):
            return []  # Not written by us: nothing in it can be matched to a process.

    def add(self, record: Record) -> None:
        self._write([*(known for known in self.read() if known.pid != record.pid), record])

    def remove(self, pid: int) -> None:
        self._write([known for known in self.read() if known.pid != pid])

    def _write(self, records: list[Record]) -> None:
        write_private(self.path, json.dumps([asdict(record) for record in records], indent=1))


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step; only its owner may read it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


async def until(reached: Callable[[], bool], timeout_seconds: float = math.inf) -> bool:
    """Looks again and again: processes that are not our children tell nobody when they end."""
    deadline = time.monotonic() + timeout_seconds
    while not (now := reached()) and time.monotonic() < deadline:  # noqa: ASYNC110 (see above)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return now


async def end_leftovers(records: Records, *, timeout_seconds: float = LEFTOVER_STOP_SECONDS) -> list[Record]:
    """Ends what a killed supervisor left, the last started first; returns what was found alive."""
    left = [record for record in records.read() if record.is_alive()]
    for record in reversed(left):
        below = descendants(record.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, record.stop_signal)
            os.kill(record.pid, signal.SIGCONT)  # a stopped process would not hear it
        await until(record.is_gone, timeout_seconds)
        if record.is_alive():
            with contextlib.suppress(psutil.Error):
                end_at_once([psutil.Process(record.pid)])
        end_at_once(below)
        await until(record.is_gone)
        records.remove(record.pid)
    for record in records.read():
        records.remove(record.pid)
    return left
