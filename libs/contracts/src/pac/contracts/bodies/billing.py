"""The bodies of billing's API. `amount` is the signed change of `available`, `balance` is `available` after it."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StrictInt

from pac.contracts.api import Reply, Request, Sparse
from pac.contracts.base import Moment, one_line

GRANT_MAX_CREDITS = 1_000_000_000_000


class Kind(StrEnum):
    """What a ledger entry is called."""

    GRANT = "grant"
    CORRECTION = "correction"
    RESERVE = "reserve"
    CAPTURE = "capture"
    RELEASE = "release"


class CreditsReply(Reply):
    account_id: UUID
    available: int
    reserved: int
    spent: int


class QuoteReply(Reply):
    """`balance_after` is below zero where the credits do not suffice.

    `short`: nor will they by themselves. The account is known, and nothing is reserved that may come back.
    """

    cost: int
    available: int
    balance_after: int
    sufficient: bool
    short: bool


class Entry(Sparse):
    """One line of the ledger: `amount` is the signed change of what is available, `balance` what is after it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    at: Moment
    kind: Kind
    amount: int
    balance: int
    deployment_id: UUID | None = None
    reason: str | None = None


class EntryReply(Reply):
    entry: Entry


class LedgerPage(Reply):
    entries: tuple[Entry, ...]
    next_cursor: str | None


class GrantRequest(Request):
    amount: Annotated[StrictInt, Field(ge=-GRANT_MAX_CREDITS, le=GRANT_MAX_CREDITS)]
    reason: Annotated[str, AfterValidator(one_line), Field(min_length=1, max_length=500)]
