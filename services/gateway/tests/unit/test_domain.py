"""Accounts, agent apps and API keys, as sentences."""

from datetime import UTC, datetime
from uuid import UUID

from pac.contracts.errors import ErrorCode
from pac.contracts.gateway import (
    AccountOpened,
    AgentAppChanged,
    AgentAppCreated,
    AgentAppDeleted,
    ApiKeyCreated,
    ApiKeyRevoked,
)
from pac.contracts.identity import Scope
from pac.gateway.domain import (
    ACCOUNT,
    APP,
    KEY,
    ChangeApp,
    CreateApp,
    CreateKey,
    DeleteApp,
    OpenAccount,
    RevokeKey,
    SignaturePolicy,
)
from pac.testkit.given import given

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINE, OTHER, ID = UUID(int=1), UUID(int=2), UUID(int=3)
CREATED = AgentAppCreated(account_id=MINE, agent_app_id=ID, at=NOON)
DELETED = AgentAppDeleted(account_id=MINE, agent_app_id=ID, at=NOON)
REQUIRED = AgentAppChanged(account_id=MINE, agent_app_id=ID, signature_policy="required", at=NOON)
KEY_CREATED = ApiKeyCreated(account_id=MINE, api_key_id=ID, scopes=("deploy", "read"), at=NOON)
KEY_REVOKED = ApiKeyRevoked(account_id=MINE, api_key_id=ID, at=NOON)


def test_an_account_is_opened_once() -> None:
    opened = AccountOpened(account_id=MINE, at=NOON)
    given(ACCOUNT).when(OpenAccount(MINE, NOON)).then(opened)
    given(ACCOUNT, opened).when(OpenAccount(MINE, NOON)).then()


def test_an_app_is_created_with_optional_signatures() -> None:
    state = given(APP).when(CreateApp(ID, MINE, NOON)).then(CREATED)
    assert state.signature_policy is SignaturePolicy.OPTIONAL
    assert state.account_id == MINE


def test_another_policy_is_a_fact_and_another_name_is_none() -> None:
    state = given(APP, CREATED).when(ChangeApp(ID, MINE, NOON, SignaturePolicy.REQUIRED)).then(REQUIRED)
    assert state.signature_policy is SignaturePolicy.REQUIRED
    given(APP, CREATED).when(ChangeApp(ID, MINE, NOON)).then()
    given(APP, CREATED, REQUIRED).when(ChangeApp(ID, MINE, NOON, SignaturePolicy.REQUIRED)).then()


def test_an_app_of_another_account_an_unknown_and_a_deleted_one_are_the_same() -> None:
    for history, account in (((CREATED,), OTHER), ((), MINE), ((CREATED, DELETED), MINE)):
        for command in (ChangeApp(ID, account, NOON), DeleteApp(ID, account, NOON)):
            refusal = given(APP, *history).when(command).then_refused(ErrorCode.NOT_FOUND)
            assert refusal.sentence == "Agent app not found"


def test_an_app_is_deleted() -> None:
    given(APP, CREATED).when(DeleteApp(ID, MINE, NOON)).then(DELETED)


def test_a_key_lists_its_scopes_in_one_order() -> None:
    scopes = frozenset({Scope.READ, Scope.DEPLOY})
    given(KEY).when(CreateKey(ID, MINE, scopes, None, NOON)).then(KEY_CREATED)


def test_a_key_is_revoked_once_and_only_by_its_account() -> None:
    given(KEY, KEY_CREATED).when(RevokeKey(ID, MINE, NOON)).then(KEY_REVOKED)
    given(KEY, KEY_CREATED, KEY_REVOKED).when(RevokeKey(ID, MINE, NOON)).then()
    given(KEY, KEY_CREATED).when(RevokeKey(ID, OTHER, NOON)).then_refused(ErrorCode.NOT_FOUND)
    given(KEY).when(RevokeKey(ID, MINE, NOON)).then_refused(ErrorCode.NOT_FOUND)
