"""Facts published by billing: credits move only here. Amounts are whole credits."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pac.contracts.base import Event


class CreditsGranted(Event):
    """`amount` may be negative: a correction."""

    type: Literal["CreditsGranted"] = "CreditsGranted"
    grant_id: UUID
    amount: int
    kind: Literal["signup", "operator"]


class CreditsReserved(Event):
    type: Literal["CreditsReserved"] = "CreditsReserved"
    deployment_id: UUID
    amount: int


class CreditsRefused(Event):
    type: Literal["CreditsRefused"] = "CreditsRefused"
    deployment_id: UUID
    required: int
    available: int


class CreditsCaptured(Event):
    """Answers the deployment, whatever attempt of finalize asked."""

    type: Literal["CreditsCaptured"] = "CreditsCaptured"
    deployment_id: UUID
    amount: int
    attempt: int


class CreditsReleased(Event):
    type: Literal["CreditsReleased"] = "CreditsReleased"
    deployment_id: UUID
    amount: int


HoldEvent = Annotated[CreditsReserved | CreditsRefused | CreditsCaptured | CreditsReleased, Field(discriminator="type")]
BillingEvent = Annotated[
    CreditsGranted | CreditsReserved | CreditsRefused | CreditsCaptured | CreditsReleased,
    Field(discriminator="type"),
]
