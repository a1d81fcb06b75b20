"""What may happen to accounts, agent apps and API keys. Pure: no clock, no new ids, no I/O.

Names and key hashes are not here: personal data never enters events, so they live in tables that can be erased.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.gateway import (
    AccountOpened,
    AgentAppChanged,
    AgentAppCreated,
    AgentAppDeleted,
    ApiKeyCreated,
    ApiKeyRevoked,
)
from pac.contracts.identity import Scope
from pac.eventlog.types import Decider

APP_NOT_FOUND = "Agent app not found"
KEY_NOT_FOUND = "API key not found"


class SignaturePolicy(StrEnum):
    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


# ---- accounts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenAccount:
    account_id: UUID
    at: datetime


@dataclass(frozen=True)
class Account:
    is_open: bool = False


def decide_account(now: Account, command: OpenAccount) -> Sequence[AccountOpened]:
    return [] if now.is_open else [AccountOpened(account_id=command.account_id, at=command.at)]


def evolve_account(_now: Account, event: AccountOpened) -> Account:
    match event:
        case AccountOpened():
            return Account(is_open=True)


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


def decide_app(now: App, command: AppCommand) -> Sequence[AppEvent]:
    match command:
        case CreateApp(app_id, account_id, at):
            return [AgentAppCreated(account_id=account_id, agent_app_id=app_id, at=at)]
        case ChangeApp() | DeleteApp() if now.account_id != command.account_id:
            raise Refused(ErrorCode.NOT_FOUND, APP_NOT_FOUND)
        case ChangeApp(app_id, account_id, at, policy):
            if policy is None or policy == now.signature_policy:
                return []  # another name is no event: names are not facts of the log
            return [AgentAppChanged(account_id=account_id, agent_app_id=app_id, signature_policy=policy.value, at=at)]
        case DeleteApp(app_id, account_id, at):
            return [AgentAppDeleted(account_id=account_id, agent_app_id=app_id, at=at)]
        case _:
            assert_never(command)


def evolve_app(now: App, event: AppEvent) -> App:
    match event:
        case AgentAppCreated(account_id=account_id):
            return App(account_id)
        case AgentAppChanged(signature_policy=policy):
            return now if policy is None else replace(now, signature_policy=SignaturePolicy(policy))
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


ACCOUNT: Decider[Account, OpenAccount, AccountOpened] = Decider("account", Account(), decide_account, evolve_account)
APP: Decider[App, AppCommand, AppEvent] = Decider("app", App(), decide_app, evolve_app)
KEY: Decider[Key, KeyCommand, KeyEvent] = Decider("key", Key(), decide_key, evolve_key)
