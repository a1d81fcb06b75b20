"""Accounts, agent apps and API keys, as sentences."""

from datetime import UTC, datetime
from uuid import UUID

from pac.contracts.errors import ErrorCode
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
from pac.gateway.domain import (
    ACCOUNT,
    APP,
    KEY,
    MEMBERS_MAX,
    ChangeApp,
    CreateApp,
    CreateKey,
    DeleteApp,
    OpenAccount,
    PutMember,
    RemoveMember,
    ResumeAccount,
    RevokeKey,
    Role,
    SignaturePolicy,
    SuspendAccount,
    personal_account,
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


ADDED = MemberAdded(account_id=MINE, user_id=OTHER, role="viewer", at=NOON)
CHANGED = MemberChanged(account_id=MINE, user_id=OTHER, role="member", at=NOON)
REMOVED = MemberRemoved(account_id=MINE, user_id=OTHER, at=NOON)
OPENED = AccountOpened(account_id=MINE, at=NOON)


def test_a_users_account_is_opened_with_its_owner() -> None:
    owner = MemberAdded(account_id=MINE, user_id=OTHER, role="owner", at=NOON)
    state = given(ACCOUNT).when(OpenAccount(MINE, NOON, OTHER)).then(OPENED, owner)
    assert state.roles == {OTHER: Role.OWNER}
    given(ACCOUNT, OPENED, owner).when(OpenAccount(MINE, NOON, OTHER)).then()


def test_a_member_is_added_changed_and_removed() -> None:
    given(ACCOUNT, OPENED).when(PutMember(MINE, OTHER, Role.VIEWER, NOON)).then(ADDED)
    given(ACCOUNT, OPENED, ADDED).when(PutMember(MINE, OTHER, Role.VIEWER, NOON)).then()
    given(ACCOUNT, OPENED, ADDED).when(PutMember(MINE, OTHER, Role.MEMBER, NOON)).then(CHANGED)
    state = given(ACCOUNT, OPENED, ADDED, CHANGED).when(RemoveMember(MINE, OTHER, NOON)).then(REMOVED)
    assert state.roles == {}


def test_an_account_is_suspended_and_resumed_once() -> None:
    suspended, resumed = AccountSuspended(account_id=MINE, at=NOON), AccountResumed(account_id=MINE, at=NOON)
    given(ACCOUNT, OPENED).when(SuspendAccount(MINE, NOON)).then(suspended)
    given(ACCOUNT, OPENED, suspended).when(SuspendAccount(MINE, NOON)).then()
    given(ACCOUNT, OPENED, suspended).when(ResumeAccount(MINE, NOON)).then(resumed)
    given(ACCOUNT, OPENED).when(ResumeAccount(MINE, NOON)).then()
    given(ACCOUNT).when(SuspendAccount(MINE, NOON)).then_refused(ErrorCode.NOT_FOUND)


def test_only_members_of_an_open_account_are_removed() -> None:
    given(ACCOUNT, OPENED).when(RemoveMember(MINE, OTHER, NOON)).then_refused(ErrorCode.NOT_FOUND)
    given(ACCOUNT).when(RemoveMember(MINE, OTHER, NOON)).then_refused(ErrorCode.NOT_FOUND)
    given(ACCOUNT).when(PutMember(MINE, OTHER, Role.OWNER, NOON)).then_refused(ErrorCode.NOT_FOUND)


def test_the_owner_of_a_personal_account_stays_its_owner() -> None:
    own = personal_account(OTHER)
    history = (
        AccountOpened(account_id=own, at=NOON),
        MemberAdded(account_id=own, user_id=OTHER, role="owner", at=NOON),
    )
    given(ACCOUNT, *history).when(RemoveMember(own, OTHER, NOON)).then_refused(ErrorCode.CONFLICT)
    given(ACCOUNT, *history).when(PutMember(own, OTHER, Role.VIEWER, NOON)).then_refused(ErrorCode.CONFLICT)
    assert personal_account(OTHER) != personal_account(MINE)
    assert personal_account(OTHER) == UUID("4d021ab1-a262-5829-b130-d0857f56e36a")


def test_an_account_has_a_limit_of_members() -> None:
    members = [MemberAdded(account_id=MINE, user_id=UUID(int=n), role="viewer", at=NOON) for n in range(MEMBERS_MAX)]
    full = given(ACCOUNT, OPENED, *members)
    full.when(PutMember(MINE, UUID(int=MEMBERS_MAX), Role.VIEWER, NOON)).then_refused(ErrorCode.CONFLICT)
    changed = MemberChanged(account_id=MINE, user_id=UUID(int=0), role="owner", at=NOON)
    full.when(PutMember(MINE, UUID(int=0), Role.OWNER, NOON)).then(changed)


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
