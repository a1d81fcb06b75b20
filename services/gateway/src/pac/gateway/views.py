"""The bodies of what the gateway serves itself: accounts, agent apps, API keys, live laws, health."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from pac.contracts.api import Reply, Request
from pac.contracts.base import Line, Moment
from pac.contracts.identity import Scope
from pac.contracts.topics import ServiceName
from pac.gateway.domain import SignaturePolicy

NAME_MAX_CHARACTERS = 100


def _sized(name: str) -> str:
    if not 1 <= len(name) <= NAME_MAX_CHARACTERS:
        raise ValueError(f"Must have 1 to {NAME_MAX_CHARACTERS} characters")
    return name


Name = Annotated[Line, AfterValidator(_sized)]
Scopes = Annotated[frozenset[Scope], Field(min_length=1, strict=False)]


class NewAccount(Request):
    name: Name


class NewApp(Request):
    name: Name


class AppChange(Request):
    name: Name | None = None
    signature_policy: Annotated[SignaturePolicy, Field(strict=False)] | None = None


class NewApiKey(Request):
    name: Name
    scopes: Scopes | None = None
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = None


class AccountView(Reply):
    id: UUID
    name: str
    created_at: Moment


class ReleaseView(Reply):
    deployment_id: UUID
    package_id: UUID
    version: str


class AppView(Reply):
    """`pinned` belongs to deployments; until rollback is there nothing pins an app."""

    id: UUID
    name: str
    account_id: UUID
    created_at: Moment
    current_release: ReleaseView | None = None
    pinned: bool = False
    signature_policy: SignaturePolicy


class KeyView(Reply):
    id: UUID
    name: str
    prefix: str = "pac_"
    last4: str
    scopes: tuple[Scope, ...]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None = None


class NewKeyView(KeyView):
    key: str


class AccountReply(Reply):
    account: AccountView


class AppReply(Reply):
    agent_app: AppView


class AppsReply(Reply):
    agent_apps: tuple[AppView, ...]
    next_cursor: str | None


class KeysReply(Reply):
    api_keys: tuple[KeyView, ...]
    next_cursor: str | None


class NewKeyReply(Reply):
    """The one answer that shows the key."""

    api_key: NewKeyView


class MessageReply(Reply):
    message: str


class LawView(Reply):
    """`checked`: how many things were looked at. `detail` names what breaks the law, or says how things stand."""

    service: ServiceName
    name: str
    holds: bool
    detail: str
    checked: int


class InvariantsReply(Reply):
    """`holds` speaks of the laws that are shown; `unreachable` names services, or laws as `service.law`."""

    holds: bool
    laws: tuple[LawView, ...]
    unreachable: tuple[str, ...]


class HealthReply(Reply):
    status: Literal["ok"] = "ok"
