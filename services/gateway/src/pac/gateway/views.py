"""The bodies of what the gateway serves itself: accounts, agent apps, API keys, proofs, live laws, health."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from pac.agentkit.environment import Layer
from pac.contracts.api import Reply, Request, Sparse
from pac.contracts.base import Moment
from pac.contracts.bodies.packages import DryRunPackage, Finding
from pac.contracts.identity import Scope
from pac.contracts.topics import ServiceName
from pac.gateway.domain import DEFAULT_RUNTIME, DeployPolicy, Role, SignaturePolicy
from pac.gateway.names import Name


def _may_repeat(schema: dict[str, Any]) -> None:
    schema.pop("uniqueItems")


Scopes = Annotated[frozenset[Scope], Field(min_length=1, strict=False, json_schema_extra=_may_repeat)]


class NewAccount(Request):
    name: Name


class NewApp(Request):
    name: Name


class AppChange(Request):
    name: Name | None = None
    signature_policy: Annotated[SignaturePolicy, Field(strict=False)] | None = None
    runtime: Annotated[str, Field(max_length=63)] | None = None
    deploy_policy: Annotated[DeployPolicy, Field(strict=False)] | None = None


class NewApiKey(Request):
    name: Name
    scopes: Scopes | None = None
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = None


class Nothing(Request):
    """An empty object, or no body at all."""


class NewMember(Request):
    user_id: Annotated[UUID, Field(strict=False)]
    role: Annotated[Role, Field(strict=False)]


class AccountView(Reply):
    """`suspended_at`: since when it can be read only."""

    id: UUID
    name: str
    created_at: Moment
    suspended_at: Moment | None = None


class MyAccountView(AccountView):
    """`role` is null for an API key, which has scopes instead. `personal`: the account that came with the user."""

    role: Role | None
    personal: bool


class MemberView(Reply):
    user_id: UUID
    role: Role
    created_at: Moment


class ReleaseView(Reply):
    deployment_id: UUID
    package_id: UUID
    version: str


class AppView(Reply):
    """`pinned`: deployments complete, but do not become current. `stopped`: the current release does not run.

    `runtime`: the name of the one that what is deployed from now on runs in. `deploy_policy`: whether a change of its
    secrets makes a new release of what runs (`on_secrets`).
    """

    id: UUID
    name: str
    account_id: UUID
    created_at: Moment
    current_release: ReleaseView | None = None
    pinned: bool = False
    stopped: bool = False
    signature_policy: SignaturePolicy
    runtime: str = DEFAULT_RUNTIME
    deploy_policy: DeployPolicy = DeployPolicy.MANUAL


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


class AccountsReply(Reply):
    accounts: tuple[MyAccountView, ...]
    next_cursor: str | None


class MemberReply(Reply):
    member: MemberView


class MembersReply(Reply):
    members: tuple[MemberView, ...]
    next_cursor: str | None


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


class QuotedDryRun(Sparse):
    """A deploy that would be accepted, and what it would cost: `cost` and what follows it, if billing can be reached.

    `balance_after` is below zero where the credits do not suffice.
    """

    dry_run: Literal[True]
    package: DryRunPackage
    warnings: list[Finding]
    estimated_duration_seconds: int
    cost: int | None = None
    available: int | None = None
    balance_after: int | None = None
    sufficient: bool | None = None


# Of proofs, what the services have said and signed: put together as it came, never read into these.


class SignedBy(Reply):
    id: str
    public_key: str


class Statement(Sparse):
    """What a service says of its stream of the deployment; `ledger` is billing's."""

    account_id: UUID
    deployment_id: UUID
    service: ServiceName
    stream: str
    version: int
    hash: str
    signed_at: Moment
    ledger: list[dict[str, Any]] | None = None


class ProvenEvent(Reply):
    """As it stands in the log; `hash` is of `canonical` and of the event before it."""

    version: int
    type: str
    at: Moment
    data: dict[str, Any]
    metadata: dict[str, Any]
    canonical: str
    hash: str


class ProofPart(Reply):
    statement: Statement
    key: SignedBy
    signature: str
    events: tuple[ProvenEvent, ...]


class ProofReply(Reply):
    """`missing` names the services that could not be asked."""

    form: Literal["pac-proof-1"]
    deployment_id: UUID
    parts: tuple[ProofPart, ...]
    missing: tuple[ServiceName, ...]


class ProofKeyView(Reply):
    """`retired`: older proofs are signed with it, new ones are not."""

    service: ServiceName
    id: str
    algorithm: Literal["Ed25519"]
    public_key: str
    retired: bool


class ProofKeysReply(Reply):
    """`missing` names the services that could not be asked."""

    keys: tuple[ProofKeyView, ...]
    missing: tuple[ServiceName, ...]


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


class SourceView(Sparse):
    """A layer that has the name. `request`: of the deployment named; `provider`: the app's stored secrets; `.env`: of
    the package named. `set_by` is an opaque id.
    """

    layer: Layer
    set_at: Moment | None = None
    set_by: str | None = None
    version: int | None = None
    deployment_id: UUID | None = None
    package_id: UUID | None = None


class ExplainedView(Reply):
    """`sources`: the layers that have it, the strongest first; the first of them wins."""

    key: str
    wins: Layer
    loses: tuple[Layer, ...]
    sources: tuple[SourceView, ...]


class ExplainedReply(Reply):
    """`is_given`: whether the runtime is given the layers `request` and `provider` at all. `unknown`: layers of which
    it is not known here what is in them.
    """

    deployment_id: UUID | None
    secrets_version: int
    is_given: bool
    env: tuple[ExplainedView, ...]
    unknown: tuple[Layer, ...]
