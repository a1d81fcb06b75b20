"""The event log in Postgres: append, fold, readers, relay, inbox, projections, jobs."""

from pac.eventlog.engine import create_engine, unavailable
from pac.eventlog.log import EventLog, ForeignXids, Then
from pac.eventlog.transaction import Transaction
from pac.eventlog.types import (
    AlreadySeen,
    Cause,
    Conflict,
    Decider,
    LogUnavailable,
    Message,
    Position,
    Recorded,
    TooEarly,
)

__all__ = [
    "AlreadySeen",
    "Cause",
    "Conflict",
    "Decider",
    "EventLog",
    "ForeignXids",
    "LogUnavailable",
    "Message",
    "Position",
    "Recorded",
    "Then",
    "TooEarly",
    "Transaction",
    "create_engine",
    "unavailable",
]
