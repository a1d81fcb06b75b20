"""The peer `eventsourcing` (pyeventsourcing), in its fastest mode for single events. Only `pac bench` may need it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from pac.cli.bench.history import HUB, submission
from pac.cli.local.errors import Expected
from pac.deployments.domain import QueueDeployment

if TYPE_CHECKING:
    from eventsourcing.postgres import PostgresApplicationRecorder


def check_installed() -> None:
    """Raises Expected; asked before any server is started."""
    if find_spec("eventsourcing") is None:
        raise Expected(
            "the benchmark append has no peer",
            "eventsourcing is not installed: PAC itself does not need it",
            "pip install 'pac-cli[bench]' (in a checkout: uv sync)",
        )


@dataclass(frozen=True)
class Store:
    recorder: "PostgresApplicationRecorder"
    callers: int

    def appends_per_second(self, seconds: float) -> float:
        """So many threads, as its own applications do it."""
        began = time.perf_counter()
        until = began + seconds
        with ThreadPoolExecutor(self.callers) as threads:
            done = sum(threads.map(lambda _: self._append(until), range(self.callers)))
        return done / (time.perf_counter() - began)

    def _append(self, until: float) -> int:
        from eventsourcing.persistence import StoredEvent  # noqa: PLC0415 - an extra

        (event,) = HUB.decide(HUB.initial, QueueDeployment(submission()))
        state, done = event.model_dump_json().encode(), 0
        while time.perf_counter() < until:
            self.recorder.insert_events([StoredEvent(uuid4(), 1, "DeploymentQueued", state)])
            done += 1
        return done


@contextmanager
def opened(url: str, callers: int) -> Iterator[Store]:
    """Tables and functions are made if missing."""
    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore  # noqa: PLC0415 - an extra

    parts = urlsplit(url)
    with PostgresDatastore(
        dbname=parts.path.lstrip("/"),
        host=parts.hostname or "",
        port=parts.port or 5432,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        pool_size=callers,
        enable_db_functions=True,
    ) as datastore:
        recorder = PostgresApplicationRecorder(datastore)
        recorder.create_table()
        yield Store(recorder, callers)
