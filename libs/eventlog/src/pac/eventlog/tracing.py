"""Spans of what happens here, each in the trace of its cause. Nothing is made while nobody exports traces.

The parent is a `traceparent` (W3C Trace Context), never the task's own context: a cause is kept in tables and messages,
and what it leads to happens in other tasks, processes and days.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["SpanKind", "Traced", "named_in_logs", "traced"]

TRACER = trace.get_tracer("pac")
_FORM = TraceContextTextMapPropagator()


@dataclass(frozen=True)
class Traced:
    """`traceparent` is what anything caused from here is to name as its parent."""

    traceparent: str | None
    span: trace.Span = trace.INVALID_SPAN


@contextmanager
def traced(
    name: str, parent: str | None, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int
) -> Iterator[Traced]:
    """A span around what happens inside; without an exporter the parent is handed on. `a_b` is the attribute `a.b`.

    Of an error only the kind is told: its text may quote what no trace may hold.
    """
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield Traced(parent)
        return
    context = _FORM.extract({"traceparent": parent} if parent else {})
    told = {attribute.replace("_", "."): value for attribute, value in attributes.items()}
    span = TRACER.start_span(name, context, kind, told, record_exception=False, set_status_on_exception=False)
    carrier: dict[str, str] = {}
    _FORM.inject(carrier, trace.set_span_in_context(span, context))
    try:
        yield Traced(carrier.get("traceparent", parent), span)
    except BaseException as error:
        span.set_attribute("error.type", type(error).__name__)
        raise
    finally:
        span.end()


def named_in_logs(deployment_id: UUID | str, traceparent: str | None) -> AbstractContextManager[None]:
    """What is logged inside, of work that no request or message began, is found by the deployment and its trace."""
    return structlog.contextvars.bound_contextvars(deployment_id=str(deployment_id), traceparent=traceparent or "")
