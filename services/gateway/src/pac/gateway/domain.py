"""What may happen to accounts and their members, agent apps and API keys. Pure: no clock, no new ids, no I/O.

Names and key hashes are not here: personal data never enters events, so they live in tables that can be erased.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID, uuid5

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.gateway import (
    AccountOpened,
    AccountResumed,
    AccountSuspended,
    AgentAppChanged,
    AgentAppCreated,
    AgentAppDeleted,
    ApiKeyCreated,
    ApiKeyRevoked,
    MemberAdded,
    MemberChanged,
    MemberRemoved,
)
from pac.contracts.identity import Scope
from pac.eventlog.types import Decider

DEFAULT_RUNTIME = "default"
ACCOUNT_NOT_FOUND = "Account not found"
APP_NOT_FOUND = "Agent app not found"
KEY_NOT_FOUND = "API key not found"
MEMBER_NOT_FOUND = "Member not found"
MEMBERS_MAX = 1000
_PERSONAL_ACCOUNTS = UUID("6f0dc1a3-3b0e-4f57-9d53-0f6b1f1d7a42")  # of these ids only; never changed


class SignaturePolicy(StrEnum):
    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class DeployPolicy(StrEnum):
    """`on_secrets`: a change of the app's secrets makes a new release of what runs."""

    MANUAL = "manual"
    ON_SECRETS = "on_secrets"


# ---- accounts -------------------------------------------------------------------------------------------------------


class Role(StrEnum):
    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"


def personal_account(user_id: UUID) -> UUID:
    """Follows from the user's id, so that two first requests open one account."""
    return uuid5(_PERSONAL_ACCOUNTS, str(user_id))


@dataclass(frozen=True)
class OpenAccount:
    account_id: UUID
    at: datetime
    owner_id: UUID | None = None


@dataclass(frozen=True)
class PutMember:
    """Adds somebody, or gives a member another role."""

    account_id: UUID
    user_id: UUID
    role: Role
    at: datetime


@dataclass(frozen=True)
class RemoveMember:
    account_id: UUID
    user_id: UUID
    at: datetime


@dataclass(frozen=True)
class SuspendAccount:
    account_id: UUID
    at: datetime


@dataclass(frozen=True)
class ResumeAccount:
    account_id: UUID
    at: datetime


AccountCommand = OpenAccount | SuspendAccount | ResumeAccount | PutMember | RemoveMember
AccountEvent = AccountOpened | AccountSuspended | AccountResumed | MemberAdded | MemberChanged | MemberRemoved


@dataclass(frozen=True)
class Account:
    is_open: bool = False
    is_suspended: bool = False
    roles: Mapping[UUID, Role] = field(default_factory=dict)


def decide_account(now: Account, command: AccountCommand) -> Sequence[AccountEvent]:
    if not isinstance(command, OpenAccount) and not now.is_open:
        raise Refused(ErrorCode.NOT_FOUND, ACCOUNT_NOT_FOUND)
    match command:
        case OpenAccount():
            return [] if now.is_open else _open(command)
        case SuspendAccount(account_id, at):
            return [] if now.is_suspended else [AccountSuspended(account_id=account_id, at=at)]
        case ResumeAccount(account_id, at):
            return [AccountResumed(account_id=account_id, at=at)] if now.is_suspended else []
        case PutMember():
            return _put_member(now, command)
        case RemoveMember(account_id, user_id, at):
            if user_id not in now.roles:
                raise Refused(ErrorCode.NOT_FOUND, MEMBER_NOT_FOUND)
            _keep_the_owner(account_id, user_id)
            return [MemberRemoved(account_id=account_id, user_id=user_id, at=at)]
        case _:
            assert_never(command)


def _open(command: OpenAccount) -> Sequence[AccountEvent]:
    account_id, at, owner_id = command.account_id, command.at, command.owner_id
    opened = AccountOpened(account_id=account_id, at=at)
    if owner_id is None:
        return [opened]
    return [opened, MemberAdded(account_id=account_id, user_id=owner_id, role=Role.OWNER.value, at=at)]


def _put_member(now: Account, command: PutMember) -> Sequence[AccountEvent]:
    account_id, user_id, role = command.account_id, command.user_id, command.role
    if now.roles.get(user_id) is role:
        return []
    if role is not Role.OWNER:
        _keep_the_owner(account_id, user_id)
    if user_id in now.roles:
        return [MemberChanged(account_id=account_id, user_id=user_id, role=role.value, at=command.at)]
    if len(now.roles) >= MEMBERS_MAX:
        raise Refused(ErrorCode.CONFLICT, f"An account has at most {MEMBERS_MAX} members")
    return [MemberAdded(account_id=account_id, user_id=user_id, role=role.value, at=command.at)]


def _keep_the_owner(account_id: UUID, user_id: UUID) -> None:
    if account_id == personal_account(user_id):
        raise Refused(ErrorCode.CONFLICT, "The owner of a personal account stays its owner")


def evolve_account(now: Account, event: AccountEvent) -> Account:
    match event:
        case AccountOpened():
            return replace(now, is_open=True)
        case AccountSuspended():
            return replace(now, is_suspended=True)
        case AccountResumed():
            return replace(now, is_suspended=False)
        case MemberAdded(user_id=user_id, role=role) | MemberChanged(user_id=user_id, role=role):
            return replace(now, roles={**now.roles, user_id: Role(role)})
        case MemberRemoved(user_id=user_id):
            return replace(now, roles={known: role for known, role in now.roles.items() if known != user_id})
        case _:
            assert_never(event)


# ---- agent apps -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateApp:
    agent_app_id: UUID
    account_id: UUID
    at: datetime


@dataclass(frozen=True)
class ChangeApp:
    agent_app_id: UUID
    account_id: UUID
    at: datetime
    signature_policy: SignaturePolicy | None = None
    runtime: str | None = None
    deploy_policy: DeployPolicy | None = None


@dataclass(frozen=True)
class DeleteApp:
    agent_app_id: UUID
    account_id: UUID
    at: datetime


AppCommand = CreateApp | ChangeApp | DeleteApp
AppEvent = AgentAppCreated | AgentAppChanged | AgentAppDeleted


@dataclass(frozen=True)
class App:
    """`account_id` is None while there is no such app, and again once it is deleted: both look the same to a caller."""

    account_id: UUID | None = None
    signature_policy: SignaturePolicy = SignaturePolicy.OPTIONAL
    runtime: str = DEFAULT_RUNTIME
    deploy_policy: DeployPolicy = DeployPolicy.MANUAL


def decide_app(now: App, command: AppCommand) -> Sequence[AppEvent]:
    match command:
        case CreateApp(app_id, account_id, at):
            return [AgentAppCreated(account_id=account_id, agent_app_id=app_id, at=at)]
        case ChangeApp() | DeleteApp() if now.account_id != command.account_id:
            raise Refused(ErrorCode.NOT_FOUND, APP_NOT_FOUND)
        case ChangeApp(app_id, account_id, at):
            policy = command.signature_policy if command.signature_policy != now.signature_policy else None
            runtime = command.runtime if command.runtime != now.runtime else None
            deploy = command.deploy_policy if command.deploy_policy != now.deploy_policy else None
            if policy is None and runtime is None and deploy is None:
                return []  # another name is no event: names are not facts of the log
            changed = AgentAppChanged(
                account_id=account_id,
                agent_app_id=app_id,
                signature_policy=policy,
                deploy_policy=deploy,
                runtime=runtime,
                at=at,
            )
            return [changed]
        case DeleteApp(app_id, account_id, at):
            return [AgentAppDeleted(account_id=account_id, agent_app_id=app_id, at=at)]
        case _:
            assert_never(command)


def evolve_app(now: App, event: AppEvent) -> App:
    match event:
        case AgentAppCreated(account_id=account_id):
            return App(account_id)
        case AgentAppChanged(signature_policy=policy, runtime=runtime, deploy_policy=deploy):
            return replace(
                now,
                signature_policy=now.signature_policy if policy is None else SignaturePolicy(policy),
                runtime=runtime or now.runtime,
                deploy_policy=now.deploy_policy if deploy is None else DeployPolicy(deploy),
            )
        case AgentAppDeleted():
            return replace(now, account_id=None)
        case _:
            assert_never(event)


# ---- API keys -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateKey:
    api_key_id: UUID
    account_id: UUID
    scopes: frozenset[Scope]
    expires_at: datetime | None
    at: datetime


@dataclass(frozen=True)
class RevokeKey:
    api_key_id: UUID
    account_id: UUID
    at: datetime


KeyCommand = CreateKey | RevokeKey
KeyEvent = ApiKeyCreated | ApiKeyRevoked


@dataclass(frozen=True)
class Key:
    account_id: UUID | None = None
    is_revoked: bool = False


def decide_key(now: Key, command: KeyCommand) -> Sequence[KeyEvent]:
    match command:
        case CreateKey(key_id, account_id, scopes, expires_at, at):
            named = tuple(scope.value for scope in Scope if scope in scopes)
            return [ApiKeyCreated(account_id=account_id, api_key_id=key_id, scopes=named, expires_at=expires_at, at=at)]
        case RevokeKey() if now.account_id != command.account_id:
            raise Refused(ErrorCode.NOT_FOUND, KEY_NOT_FOUND)
        case RevokeKey() if now.is_revoked:
            return []  # the wish is fulfilled already
        case RevokeKey(key_id, account_id, at):
            return [ApiKeyRevoked(account_id=account_id, api_key_id=key_id, at=at)]
        case _:
            assert_never(command)


def evolve_key(now: Key, event: KeyEvent) -> Key:
    match event:
        case ApiKeyCreated(account_id=account_id):
            return Key(account_id)
        case ApiKeyRevoked():
            return replace(now, is_revoked=True)
        case _:
            assert_never(event)


ACCOUNT: Decider[Account, AccountCommand, AccountEvent] = Decider("account", Account(), decide_account, evolve_account)
APP: Decider[App, AppCommand, AppEvent] = Decider("app", App(), decide_app, evolve_app)
KEY: Decider[Key, KeyCommand, KeyEvent] = Decider("key", Key(), decide_key, evolve_key)
