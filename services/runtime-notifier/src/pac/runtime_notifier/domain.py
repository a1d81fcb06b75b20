"""What the hub is told about a delivery: one answer per attempt. Pure: no clock, no new ids, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

from pac.contracts.runtime_notifier import DeliveryEvent, RuntimeFailed, RuntimeReady
from pac.eventlog.types import Decider


@dataclass(frozen=True)
class Answered:
    """The attempts that the hub has had an answer to."""

    attempts: frozenset[int] = frozenset()


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


Command = AnswerReady | AnswerFailed


def decide(now: Answered, command: Command) -> Sequence[DeliveryEvent]:
    asked = command.asked
    if asked.closed or command.attempt != asked.attempt or command.attempt in now.attempts:
        return []  # the hub waits for another attempt, for none, or has had its answer
    match command:
        case AnswerReady():
            return [
                RuntimeReady(
                    account_id=command.account_id,
                    at=command.at,
                    deployment_id=command.deployment_id,
                    agent_app_id=command.agent_app_id,
                    attempt=command.attempt,
                )
            ]
        case AnswerFailed():
            return [
                RuntimeFailed(
                    account_id=command.account_id,
                    at=command.at,
                    deployment_id=command.deployment_id,
                    agent_app_id=command.agent_app_id,
                    attempt=command.attempt,
                    reason=command.reason,
                    retriable=command.retriable,
                )
            ]
        case _:
            assert_never(command)


def evolve(now: Answered, event: DeliveryEvent) -> Answered:
    match event:
        case RuntimeReady() | RuntimeFailed():
            return Answered(now.attempts | {event.attempt})
        case _:
            assert_never(event)


DELIVERY: Decider[Answered, Command, DeliveryEvent] = Decider("delivery", Answered(), decide, evolve)
