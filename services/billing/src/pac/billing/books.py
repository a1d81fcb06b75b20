"""How each fact of billing moves credits between an account's books. Pure; every movement has two legs.

`issued` is the operator's side: what was ever granted, as a negative sum. So all books together always sum to zero.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never
from uuid import UUID, uuid5

from pac.contracts.billing import (
    BillingEvent,
    CreditsCaptured,
    CreditsGranted,
    CreditsRefused,
    CreditsReleased,
    CreditsReserved,
)
from pac.contracts.bodies.billing import Kind


class Book(StrEnum):
    ISSUED = "issued"
    AVAILABLE = "available"
    RESERVED = "reserved"
    SPENT = "spent"


@dataclass(frozen=True)
class Movement:
    """`credits`, more than none, go from one book to another. `id` is the same whenever the same fact is booked."""

    id: UUID
    account_id: UUID
    kind: Kind
    source: Book
    target: Book
    credits: int
    deployment_id: UUID | None = None

    @property
    def legs(self) -> dict[Book, int]:
        return {self.source: -self.credits, self.target: self.credits}

    @property
    def amount(self) -> int:
        """The signed change of what the account can still spend."""
        return self.legs.get(Book.AVAILABLE, 0)


@dataclass(frozen=True)
class Balance:
    available: int = 0
    reserved: int = 0
    spent: int = 0

    def after(self, movement: Movement) -> "Balance":
        legs = movement.legs
        return replace(
            self,
            available=self.available + legs.get(Book.AVAILABLE, 0),
            reserved=self.reserved + legs.get(Book.RESERVED, 0),
            spent=self.spent + legs.get(Book.SPENT, 0),
        )


def movement_of(event: BillingEvent) -> Movement | None:
    """None when no credit moves: a refusal, or the hold of a deployment that costs nothing."""
    match event:
        case CreditsGranted(amount=amount) if amount >= 0:
            movement = Movement(event.grant_id, event.account_id, Kind.GRANT, Book.ISSUED, Book.AVAILABLE, amount)
        case CreditsGranted():
            movement = Movement(
                event.grant_id, event.account_id, Kind.CORRECTION, Book.AVAILABLE, Book.ISSUED, -event.amount
            )
        case CreditsReserved():
            movement = _of_hold(event, Kind.RESERVE, Book.AVAILABLE, Book.RESERVED)
        case CreditsCaptured():
            movement = _of_hold(event, Kind.CAPTURE, Book.RESERVED, Book.SPENT)
        case CreditsReleased():
            movement = _of_hold(event, Kind.RELEASE, Book.RESERVED, Book.AVAILABLE)
        case CreditsRefused():
            return None
        case _:
            assert_never(event)
    return movement if movement.credits else None


def _of_hold(
    event: CreditsReserved | CreditsCaptured | CreditsReleased, kind: Kind, source: Book, target: Book
) -> Movement:
    entry_id = uuid5(event.deployment_id, kind)
    return Movement(entry_id, event.account_id, kind, source, target, event.amount, event.deployment_id)
