"""The figures of one process, in a registry of its own; some are read only when somebody asks for them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

logger = structlog.get_logger(__name__)
SAMPLE_TIMEOUT_SECONDS = 2.0
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class Sample:
    """A gauge whose value is read from somewhere (the database, say) at each scrape, bounded in time."""

    name: str
    documentation: str
    read: Callable[[], Awaitable[float]]


@dataclass
class Metrics:
    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))

    def __post_init__(self) -> None:
        self.http_seconds = Histogram(
            "http_server_request_duration_seconds",
            "Time from a request's headers to the end of its answer",
            ("route", "method", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.consumed = Counter(
            "consumer_messages", "Messages read, by what became of them", ("topic", "outcome"), registry=self.registry
        )
        self.consumer_lag = Gauge(
            "consumer_lag_messages", "Messages not yet read", ("topic", "partition"), registry=self.registry
        )
        self.consumer_waits = Counter(
            "consumer_waits", "Messages waited for in place, because something was away", registry=self.registry
        )
        self.dead_letters = Counter(
            "consumer_dead_letters", "Copies written to the dead letters' topic", registry=self.registry
        )
        self.reader_restarts = Counter(
            "reader_restarts", "Readers started again after a failure", ("reader",), registry=self.registry
        )
        self.law_broken = Gauge(
            "law_broken",
            "1 for a law found broken, 0 for one that holds, NaN unchecked",
            ("law",),
            registry=self.registry,
        )
        self._samples: list[tuple[Sample, Gauge]] = []

    def sample(self, sample: Sample) -> None:
        self._samples.append((sample, Gauge(sample.name, sample.documentation, registry=self.registry)))

    async def exposition(self) -> tuple[bytes, str]:
        """The body and content type of /metrics."""
        await asyncio.gather(*(self._read(sample, gauge) for sample, gauge in self._samples))
        # The libraries below keep theirs, and the process's own, in the library's default registry.
        return generate_latest(self.registry) + generate_latest(REGISTRY), CONTENT_TYPE_LATEST

    async def _read(self, sample: Sample, gauge: Gauge) -> None:
        try:
            async with asyncio.timeout(SAMPLE_TIMEOUT_SECONDS):
                gauge.set(await sample.read())
        except Exception as fault:  # noqa: BLE001 - one figure missing must not hide the others
            gauge.set(float("nan"))
            logger.debug("sample_not_read", sample=sample.name, error=type(fault).__name__)
