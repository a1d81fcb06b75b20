"""What the hub is told about a delivery: one answer per attempt, and before it that the runtime is away, or back.

Pure: no clock, no new ids, no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from pac.contracts.runtime_notifier import DeliveryEvent, RuntimeAway, RuntimeBack, RuntimeFailed, RuntimeReady
from pac.eventlog.types import Decider


@dataclass(frozen=True)
class Answered:
    """The attempts that the hub has had an answer to; `away`: the one that it knows to wait for the runtime."""

    attempts: frozenset[int] = frozenset()
    away: int | None = None


@dataclass(frozen=True)
class Asked:
    """Which attempt the hub waits for, if any; read under the app's lock, in the transaction that answers."""

    attempt: int
    closed: bool


@dataclass(frozen=True)
class AnswerReady:
    account_id: UUID
    deployment_id: UUID
    agent_app_id: UUID
    attempt: int
    asked: Asked
    at: datetime


@dataclass(frozen=True)
class AnswerFailed:
    account_id: UUID
    deployment_id: UUID
    agent_app_id: UUID
    attempt: int
    asked: Asked
    reason: str
    retriable: bool
    at: datetime


@dataclass(frozen=True)
class TellAway:
    """The runtime gives no usable answer, since `since`."""

    account_id: UUID
    deployment_id: UUID
    agent_app_id: UUID
    attempt: int
    asked: Asked
    since: datetime
    at: datetime


@dataclass(frozen=True)
class TellBack:
    account_id: UUID
    deployment_id: UUID
    agent_app_id: UUID
    attempt: int
    asked: Asked
    at: datetime


Command = AnswerReady | AnswerFailed | TellAway | TellBack


def decide(now: Answered, command: Command) -> Sequence[DeliveryEvent]:
    asked = command.asked
    if asked.closed or command.attempt != asked.attempt or command.attempt in now.attempts:
        return []  # the hub waits for another attempt, for none, or has had its answer
    told: dict[str, Any] = {
        "account_id": command.account_id,
        "at": command.at,
        "deployment_id": command.deployment_id,
        "agent_app_id": command.agent_app_id,
        "attempt": command.attempt,
    }
    is_away = now.away == command.attempt
    match command:
        case AnswerReady():
            return [RuntimeReady(**told)]
        case AnswerFailed(reason=reason, retriable=retriable):
            return [RuntimeFailed(**told, reason=reason, retriable=retriable)]
        case TellAway(since=since):
            return [] if is_away else [RuntimeAway(**told, since=since)]
        case TellBack():
            return [RuntimeBack(**told)] if is_away else []
        case _:
            assert_never(command)


def evolve(now: Answered, event: DeliveryEvent) -> Answered:
    match event:
        case RuntimeReady() | RuntimeFailed():
            return Answered(now.attempts | {event.attempt})
        case RuntimeAway(attempt=attempt):
            return replace(now, away=attempt)
        case RuntimeBack():
            return replace(now, away=None)
        case _:
            assert_never(event)


DELIVERY: Decider[Answered, Command, DeliveryEvent] = Decider("delivery", Answered(), decide, evolve)
