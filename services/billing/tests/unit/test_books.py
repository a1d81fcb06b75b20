"""Random orders, repeats and mixes of everything billing hears, against the laws of money."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID, uuid5

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pac.billing.books import Balance, Book, Movement, movement_of
from pac.billing.domain import (
    ACCOUNT,
    HOLD,
    Account,
    BrokenLaw,
    Capture,
    Grant,
    Hold,
    HoldCommand,
    Release,
    Reserve,
    SignUp,
)
from pac.contracts.billing import BillingEvent, CreditsCaptured, CreditsRefused, CreditsReleased, CreditsReserved
from pac.contracts.errors import Refused
from pac.eventlog.types import TooEarly

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWNER = UUID(int=1)
deployments = st.integers(0, 5).map(lambda number: uuid5(OWNER, str(number)))
amounts = st.integers(0, 7)


class Money(RuleBasedStateMachine):
    """One account: whatever is heard, in whatever order and however often."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()
        self.holds: dict[UUID, Hold] = {}
        self.balance = Balance()
        self.ledger: list[Movement] = []
        self.said: list[BillingEvent] = []

    def book(self, event: BillingEvent) -> None:
        self.said.append(event)
        if movement := movement_of(event):
            self.ledger.append(movement)
            self.balance = self.balance.after(movement)

    def hear(self, deployment_id: UUID, command: HoldCommand) -> None:
        now = self.holds.get(deployment_id, HOLD.initial)
        try:
            decided = HOLD.decide(now, command)
        except (TooEarly, BrokenLaw):
            return
        self.holds[deployment_id] = HOLD.fold(decided, now)
        for event in decided:
            self.book(event)

    @rule(amount=amounts)
    def opened(self, amount: int) -> None:
        decided = ACCOUNT.decide(self.account, SignUp(OWNER, amount, NOON))
        self.account = ACCOUNT.fold(decided, self.account)
        for event in decided:
            self.book(event)

    @rule(key=st.integers(0, 4), amount=st.integers(-6, 12))
    def granted(self, key: int, amount: int) -> None:
        try:
            command = Grant(OWNER, uuid5(OWNER, f"grant:{key}"), amount, self.balance.available, NOON)
            decided = ACCOUNT.decide(self.account, command)
        except Refused:
            return
        self.account = ACCOUNT.fold(decided, self.account)
        for event in decided:
            self.book(event)

    @rule(deployment_id=deployments, amount=amounts)
    def queued(self, deployment_id: UUID, amount: int) -> None:
        self.hear(deployment_id, Reserve(OWNER, deployment_id, amount, self.balance.available, NOON))

    @rule(deployment_id=deployments, attempt=st.integers(1, 3))
    def finalized(self, deployment_id: UUID, attempt: int) -> None:
        self.hear(deployment_id, Capture(OWNER, deployment_id, attempt, NOON))

    @rule(deployment_id=deployments)
    def aborted(self, deployment_id: UUID) -> None:
        self.hear(deployment_id, Release(OWNER, deployment_id, NOON))

    @invariant()
    def nothing_is_below_zero(self) -> None:
        assert min(self.balance.available, self.balance.reserved, self.balance.spent) >= 0

    @invariant()
    def everything_sums_to_zero(self) -> None:
        books: Counter[Book] = Counter()
        for movement in self.ledger:
            assert sum(movement.legs.values()) == 0
            assert len(movement.legs) == 2
            books.update(movement.legs)
        assert sum(books.values()) == 0
        assert self.balance == Balance(books[Book.AVAILABLE], books[Book.RESERVED], books[Book.SPENT])

    @invariant()
    def a_hold_begins_once_and_has_at_most_one_end(self) -> None:
        begins: Counter[UUID] = Counter()
        ends: Counter[UUID] = Counter()
        for event in self.said:
            match event:
                case CreditsReserved() | CreditsRefused():
                    begins[event.deployment_id] += 1
                case CreditsCaptured() | CreditsReleased():
                    ends[event.deployment_id] += 1
                case _:
                    pass
        assert set(begins.values()) <= {1}
        assert set(ends.values()) <= {1}
        assert set(ends) <= set(begins)

    @invariant()
    def an_entry_is_never_booked_twice(self) -> None:
        assert len({movement.id for movement in self.ledger}) == len(self.ledger)

    @invariant()
    def what_is_held_is_what_is_reserved(self) -> None:
        held = sum(hold.amount for hold in self.holds.values() if hold.status == "reserved")
        assert held == self.balance.reserved


TestMoney = Money.TestCase
