"""The event log in Postgres: append, fold, readers, relay, inbox, projections, jobs."""

from pac.eventlog.copying import changed
from pac.eventlog.engine import create_engine, unavailable
from pac.eventlog.jobs import Job, Jobs
from pac.eventlog.leases import Lease, Leases, StaleLease
from pac.eventlog.log import EventLog, ForeignXids, Then
from pac.eventlog.parking import Parked, Parking, Patience, Raw
from pac.eventlog.readers import Projection, Projector, Reader
from pac.eventlog.relay import LogOutOfOrder, Relay
from pac.eventlog.transaction import Transaction
from pac.eventlog.types import (
    AlreadySeen,
    Cause,
    Conflict,
    Decider,
    EventTooLarge,
    Hearing,
    LogUnavailable,
    Message,
    Placed,
    Position,
    Recorded,
    Span,
    TooEarly,
)
from pac.eventlog.worker import Worker

__all__ = [
    "AlreadySeen",
    "Cause",
    "Conflict",
    "Decider",
    "EventLog",
    "EventTooLarge",
    "ForeignXids",
    "Hearing",
    "Job",
    "Jobs",
    "Lease",
    "Leases",
    "LogOutOfOrder",
    "LogUnavailable",
    "Message",
    "Parked",
    "Parking",
    "Patience",
    "Placed",
    "Position",
    "Projection",
    "Projector",
    "Raw",
    "Reader",
    "Recorded",
    "Relay",
    "Span",
    "StaleLease",
    "Then",
    "TooEarly",
    "Transaction",
    "Worker",
    "changed",
    "create_engine",
    "unavailable",
]
