"""One form for every log line of a process, its libraries' included: JSON or console, ids bound, secrets gone."""

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor

from pac.servicekit.redaction import redact_fields

# aiokafka tells of an outage at every try; we tell it once, where it matters.
_QUIET = {"aiokafka": "CRITICAL", "faststream": "ERROR", "botocore": "WARNING", "aiobotocore": "WARNING"}


def _redaction(_: Any, __: str, event_dict: EventDict) -> EventDict:
    kept = {name: value for name, value in event_dict.items() if name.startswith("_")}
    plain = {name: value for name, value in event_dict.items() if not name.startswith("_")}
    return {**redact_fields(plain), **kept}


def _trace_id(_: Any, __: str, event_dict: EventDict) -> EventDict:
    """The trace's id out of a bound `traceparent` (version-traceid-spanid-flags)."""
    parts = str(event_dict.pop("traceparent", "")).split("-")
    if len(parts) == 4:  # noqa: PLR2004 - the four parts of W3C trace context
        event_dict.setdefault("trace_id", parts[1])
    return event_dict


def configure_logging(service: str, log_format: str = "json", level: str = "info", stream: TextIO = sys.stdout) -> None:
    """Call once, first thing in a process. `log_format`: json or console."""
    numeric = logging.getLevelNamesMapping()[level.upper()]

    def named(_: Any, __: str, event_dict: EventDict) -> EventDict:
        event_dict.setdefault("service", service)
        return event_dict

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        named,
        _trace_id,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _redaction,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,  # loggers of modules are made before this runs
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(numeric, logging.WARNING) if numeric > logging.DEBUG else numeric)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
