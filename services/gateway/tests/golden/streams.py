"""What happened to an account, an agent app and an API key, for the rows kept beside this."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pac.contracts.identity import Scope
from pac.contracts.topics import ServiceName
from pac.gateway.domain import (
    ACCOUNT,
    APP,
    KEY,
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
)
from pac.testkit.golden import Story

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = NOON + timedelta(minutes=2)
OWNER = UUID("5b0f1c52-7f1e-4f6f-9d0e-6a1f4c3b2a10")
AGENT = UUID("c6a3c8f4-20cf-4a2b-8e35-9c1d7a54e011")
API_KEY = UUID("8e8f2f9b-14c7-4d6e-b1d3-52a9f0c7e312")
CREATED = CreateApp(AGENT, OWNER, NOON)
SIGNED = ChangeApp(AGENT, OWNER, LATER, SignaturePolicy.REQUIRED)
KEY_CREATED = CreateKey(API_KEY, OWNER, frozenset({Scope.DEPLOY, Scope.READ}), NOON + timedelta(days=365), NOON)

GUEST = UUID("0d5e1c77-31f5-4c0e-8f0b-2a6c1e9b7d13")
MEMBERS = (
    OpenAccount(OWNER, NOON, AGENT),
    PutMember(OWNER, GUEST, Role.VIEWER, NOON),
    PutMember(OWNER, GUEST, Role.MEMBER, LATER),
    RemoveMember(OWNER, GUEST, LATER),
)

SUSPENDED = (OpenAccount(OWNER, NOON), SuspendAccount(OWNER, NOON), ResumeAccount(OWNER, LATER))

STORIES = {
    "account-opened": Story(ServiceName.GATEWAY, ACCOUNT, OWNER, (OpenAccount(OWNER, NOON),)),
    "account-with-members": Story(ServiceName.GATEWAY, ACCOUNT, OWNER, MEMBERS),
    "account-suspended": Story(ServiceName.GATEWAY, ACCOUNT, OWNER, SUSPENDED),
    "app-signed": Story(ServiceName.GATEWAY, APP, AGENT, (CREATED, SIGNED)),
    "app-deleted": Story(ServiceName.GATEWAY, APP, AGENT, (CREATED, SIGNED, DeleteApp(AGENT, OWNER, LATER))),
    "key-created": Story(ServiceName.GATEWAY, KEY, API_KEY, (KEY_CREATED,)),
    "key-revoked": Story(ServiceName.GATEWAY, KEY, API_KEY, (KEY_CREATED, RevokeKey(API_KEY, OWNER, LATER))),
}
