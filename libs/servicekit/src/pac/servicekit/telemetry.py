"""Where a process sends its spans: to a collector (OTLP over HTTP), into a file, or nowhere, which costs nothing.

The seams that make spans use `pac.eventlog.tracing`. Everything else the exporter may be told it reads itself from the
environment (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, …), as any program with OpenTelemetry does.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from opentelemetry import trace

from pac.servicekit.settings import InvalidSettings, ServiceSettings

logger = structlog.get_logger(__name__)
LEFT_SECONDS: Final = 2.0  # at the end of a process nobody waits longer for a collector, whatever is left


@contextmanager
def traces_sent(service: str, settings: ServiceSettings) -> Iterator[None]:
    """Spans made inside are exported as the settings say; what is left goes out at the exit.

    InvalidSettings where the extra `traces` would be needed and is not installed. Once per process.
    """
    if not settings.traces_endpoint and settings.traces_file is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
            BatchSpanProcessor,
            ConsoleSpanExporter,
            SimpleSpanProcessor,
        )
    except ImportError:
        raise InvalidSettings(["traces are asked for, but pac-servicekit[traces] is not installed"]) from None
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    if settings.traces_endpoint:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if settings.traces_file is None:
        file = None
    else:
        # One line and one write per span: several processes may share the file.
        file = settings.traces_file.open("a", encoding="utf-8", buffering=1)
        lines = ConsoleSpanExporter(out=file, formatter=lambda span: f"{span.to_json(indent=None)}\n")
        provider.add_span_processor(SimpleSpanProcessor(lines))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        if not done_within(LEFT_SECONDS, provider.shutdown):
            logger.warning("traces_left_behind")
        if file is not None:
            file.close()


def done_within(seconds: float, work: Callable[[], object]) -> bool:
    """False if it goes on in its own thread, which does not keep the process."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
