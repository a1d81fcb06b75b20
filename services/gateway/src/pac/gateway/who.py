"""Who is calling, for which accounts they may act, and what they may do there."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller, Scope
from pac.gateway.domain import Role
from pac.gateway.queries import Seat

ROLE_SCOPES = {
    Role.OWNER: frozenset(Scope),
    Role.MEMBER: frozenset({Scope.DEPLOY, Scope.READ, Scope.SECRETS}),
    Role.VIEWER: frozenset({Scope.READ}),
}
ANYONE = Caller(actor="anyone")


@dataclass(frozen=True)
class Membership:
    """What somebody may do in one account. `role` is None for an API key, which has scopes of its own."""

    account_id: UUID
    scopes: frozenset[Scope]
    role: Role | None = None
    is_suspended: bool = False

    def grants(self, scope: Scope | None) -> bool:
        """Who may deploy may also read: a pipeline follows what it started."""
        return scope is None or scope in self.scopes or (scope is Scope.READ and Scope.DEPLOY in self.scopes)


@dataclass(frozen=True)
class Who:
    """`actor` as in `Caller`. The first of `accounts` is the one that is meant when nothing else is said."""

    actor: str
    accounts: tuple[Membership, ...] = ()
    operator: bool = False


OPERATOR = Who(actor="operator", operator=True)


def of_user(user_id: UUID, seats: Sequence[Seat]) -> Who:
    accounts = tuple(Membership(one.account_id, ROLE_SCOPES[one.role], one.role, one.is_suspended) for one in seats)
    return Who(f"user-{user_id}", accounts)


def require_operator(who: Who) -> None:
    if not who.operator:
        raise Refused(ErrorCode.FORBIDDEN, "Only the operator may do this", scope="operator")


def require(accounts: Sequence[Membership], scope: Scope | None) -> None:
    """403 with the scope that was needed, if none of these grants it."""
    named = scope and scope.value
    if not accounts:
        raise Refused(ErrorCode.FORBIDDEN, "The admin key belongs to no account: use an API key", scope=named)
    if any(account.grants(scope) for account in accounts):
        return
    subject = "This key" if accounts[0].role is None else "Your role in this account"
    raise Refused(ErrorCode.FORBIDDEN, f"{subject} lacks the scope {named}", scope=named)
