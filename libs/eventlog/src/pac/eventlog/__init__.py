"""The event log in Postgres: append, fold, readers, relay, inbox, projections, jobs."""

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
    LogUnavailable,
    Message,
    Position,
    Recorded,
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
    "Position",
    "Projection",
    "Projector",
    "Raw",
    "Reader",
    "Recorded",
    "Relay",
    "StaleLease",
    "Then",
    "TooEarly",
    "Transaction",
    "Worker",
    "create_engine",
    "unavailable",
]
