"""Facts published by gateway: accounts, their members, agent apps, API keys. No names or addresses of people, ever."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pac.contracts.base import Event, Moment


class AccountOpened(Event):
    type: Literal["AccountOpened"] = "AccountOpened"


class AccountSuspended(Event):
    """By the operator: from now on the account is read, and nothing of it is changed."""

    type: Literal["AccountSuspended"] = "AccountSuspended"


class AccountResumed(Event):
    type: Literal["AccountResumed"] = "AccountResumed"


class MemberAdded(Event):
    """`user_id` is the opaque id that the issuer of sessions gives a user. `role`: `owner`, `member` or `viewer`."""

    type: Literal["MemberAdded"] = "MemberAdded"
    user_id: UUID
    role: str


class MemberChanged(Event):
    type: Literal["MemberChanged"] = "MemberChanged"
    user_id: UUID
    role: str


class MemberRemoved(Event):
    type: Literal["MemberRemoved"] = "MemberRemoved"
    user_id: UUID


class AgentAppCreated(Event):
    type: Literal["AgentAppCreated"] = "AgentAppCreated"
    agent_app_id: UUID


class AgentAppChanged(Event):
    """What is None has not changed. `runtime`: the name of the one that what is deployed from now on runs in."""

    type: Literal["AgentAppChanged"] = "AgentAppChanged"
    agent_app_id: UUID
    signature_policy: str | None = None
    deploy_policy: str | None = None
    runtime: str | None = None


class AgentAppDeleted(Event):
    type: Literal["AgentAppDeleted"] = "AgentAppDeleted"
    agent_app_id: UUID


class ApiKeyCreated(Event):
    type: Literal["ApiKeyCreated"] = "ApiKeyCreated"
    api_key_id: UUID
    scopes: tuple[str, ...]
    expires_at: Moment | None = None


class ApiKeyRevoked(Event):
    type: Literal["ApiKeyRevoked"] = "ApiKeyRevoked"
    api_key_id: UUID


GatewayEvent = Annotated[
    AccountOpened
    | AccountSuspended
    | AccountResumed
    | MemberAdded
    | MemberChanged
    | MemberRemoved
    | AgentAppCreated
    | AgentAppChanged
    | AgentAppDeleted
    | ApiKeyCreated
    | ApiKeyRevoked,
    Field(discriminator="type"),
]
