"""What may happen to a hold and to an account's grants. Pure: no clock, no new ids, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID, uuid5

from pac.contracts.billing import (
    CreditsCaptured,
    CreditsGranted,
    CreditsRefused,
    CreditsReleased,
    CreditsReserved,
    HoldEvent,
)
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog.types import Decider, TooEarly


class Status(StrEnum):
    ABSENT = "absent"
    RESERVED = "reserved"
    REFUSED = "refused"
    CAPTURED = "captured"
    RELEASED = "released"


class BrokenLaw(Exception):  # noqa: N818 - says what happened: a person must look, so the message is set aside
    """Credits were asked for that a hold does not have any more."""


# ---- holds: reserved, then captured or released, each once ------------------------------------------------------


@dataclass(frozen=True)
class Hold:
    status: Status = Status.ABSENT
    amount: int = 0


@dataclass(frozen=True)
class Reserve:
    """`available` was read under the balance's lock, in the transaction that writes what is decided."""

    account_id: UUID
    deployment_id: UUID
    amount: int
    available: int
    at: datetime


@dataclass(frozen=True)
class Capture:
    account_id: UUID
    deployment_id: UUID
    attempt: int
    at: datetime


@dataclass(frozen=True)
class Release:
    account_id: UUID
    deployment_id: UUID
    at: datetime


HoldCommand = Reserve | Capture | Release


def decide_hold(now: Hold, command: HoldCommand) -> Sequence[HoldEvent]:
    match command:
        case Reserve():
            return [] if now.status is not Status.ABSENT else [_reserved_or_refused(command)]
        case Capture() | Release() if now.status is Status.ABSENT:
            raise TooEarly(f"no hold is known for deployment {command.deployment_id}")
        case Capture() if now.status is Status.RESERVED:
            return [
                CreditsCaptured(
                    account_id=command.account_id,
                    at=command.at,
                    deployment_id=command.deployment_id,
                    amount=now.amount,
                    attempt=command.attempt,
                )
            ]
        case Capture() if now.status is Status.CAPTURED:
            return []  # asked again: the answer is in the log, and counts whatever attempt asked
        case Capture():
            raise BrokenLaw(f"capture of a hold that is {now.status}: deployment {command.deployment_id}")
        case Release() if now.status is Status.RESERVED:
            return [
                CreditsReleased(
                    account_id=command.account_id,
                    at=command.at,
                    deployment_id=command.deployment_id,
                    amount=now.amount,
                )
            ]
        case Release() if now.status is Status.CAPTURED:
            raise BrokenLaw(f"release of a hold that is captured: deployment {command.deployment_id}")
        case Release():
            return []  # released before, or refused: nothing is held, and the log has said so
        case _:
            assert_never(command)


def _reserved_or_refused(command: Reserve) -> CreditsReserved | CreditsRefused:
    if command.amount <= command.available:
        return CreditsReserved(
            account_id=command.account_id,
            at=command.at,
            deployment_id=command.deployment_id,
            amount=command.amount,
        )
    return CreditsRefused(
        account_id=command.account_id,
        at=command.at,
        deployment_id=command.deployment_id,
        required=command.amount,
        available=command.available,
    )


def evolve_hold(now: Hold, event: HoldEvent) -> Hold:
    match event:
        case CreditsReserved(amount=amount):
            return Hold(Status.RESERVED, amount)
        case CreditsRefused():
            return Hold(Status.REFUSED)
        case CreditsCaptured():
            return replace(now, status=Status.CAPTURED)
        case CreditsReleased():
            return replace(now, status=Status.RELEASED)
        case _:
            assert_never(event)


HOLD: Decider[Hold, HoldCommand, HoldEvent] = Decider("hold", Hold(), decide_hold, evolve_hold)


# ---- accounts: what was granted ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    grants: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class SignUp:
    account_id: UUID
    amount: int
    at: datetime


@dataclass(frozen=True)
class Grant:
    """By an operator; a negative amount is a correction, which takes only what is still available."""

    account_id: UUID
    grant_id: UUID
    amount: int
    available: int
    at: datetime


AccountCommand = SignUp | Grant


def sign_up_grant(account_id: UUID) -> UUID:
    return uuid5(account_id, "signup")


def decide_account(now: Account, command: AccountCommand) -> Sequence[CreditsGranted]:
    match command:
        case SignUp(account_id=account_id, amount=amount, at=at):
            grant_id = sign_up_grant(account_id)
            if not amount or grant_id in now.grants:
                return []
            return [CreditsGranted(account_id=account_id, at=at, grant_id=grant_id, amount=amount, kind="signup")]
        case Grant(grant_id=grant_id) if grant_id in now.grants:
            return []
        case Grant(amount=0):
            raise Refused(ErrorCode.INVALID_REQUEST, details=["amount: A grant of 0 credits changes nothing"])
        case Grant(amount=amount, available=available) if available + amount < 0:
            raise Refused(
                ErrorCode.CONFLICT, "A correction cannot take more than is available", available=command.available
            )
        case Grant(account_id=account_id, grant_id=grant_id, amount=amount, at=at):
            return [CreditsGranted(account_id=account_id, at=at, grant_id=grant_id, amount=amount, kind="operator")]
        case _:
            assert_never(command)


def evolve_account(now: Account, event: CreditsGranted) -> Account:
    return Account(now.grants | {event.grant_id})


ACCOUNT: Decider[Account, AccountCommand, CreditsGranted] = Decider(
    "account", Account(), decide_account, evolve_account
)
