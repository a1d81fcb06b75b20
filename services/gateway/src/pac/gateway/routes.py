"""All public paths, as data: the router is made from this table, and so are the tests and the API's description.

A path is the same string here and in the service that serves it. What is not in the table does not exist outside:
`/internal/*` of a service can't be reached through the gateway.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from pac.contracts.bodies.secrets import SECRET_NAME
from pac.contracts.errors import ErrorCode
from pac.contracts.identity import Caller, Scope
from pac.contracts.topics import ServiceName
from pac.gateway import documents
from pac.gateway.api import Api
from pac.servicekit.proof.form import PUBLIC_KEYS_PATH

DEPLOYMENTS = ServiceName.DEPLOYMENTS
PACKAGES = ServiceName.PACKAGES
BILLING = ServiceName.BILLING
NOTIFIER = ServiceName.RUNTIME_NOTIFIER
WEBHOOKS = "/api/agent-apps/{app_id}/webhooks"

NAMES = {"secret_name": SECRET_NAME}  # the parts of paths that are neither fixed nor ids, and how they look
OwnHandler = Callable[[Api, web.Request, Caller], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may: anybody (`public`), the operator, or an account's caller with `scope`.

    `app`: the path's agent app must exist and be the caller's. `account`: so must the path's account; for the operator
    it must exist.
    """

    scope: Scope | None = None
    public: bool = False
    operator: bool = False
    app: bool = False
    account: bool = False


@dataclass(frozen=True)
class Forward(Access):
    """Served by one service. `status`: a poll that must not fail in passing trouble (see status.py).

    `upload`: a package comes with it; so many of an account may be on their way at once.
    `early`: what the service does not know may only not have reached it yet, and then this is the answer (see
    early.py). `quoted`: billing is asked what it costs, before the package comes or for a dry run (see quote.py).
    """

    method: str
    path: str
    to: ServiceName
    status: bool = False
    upload: bool = False
    early: ErrorCode | None = None
    quoted: bool = False


@dataclass(frozen=True)
class Own(Access):
    """Served by the gateway itself."""

    method: str
    path: str
    handler: OwnHandler


FORWARDS = (
    Forward("POST", "/api/agent-apps/{app_id}/packages", PACKAGES, scope=Scope.DEPLOY, app=True, upload=True),
    Forward(
        "POST",
        "/api/agent-apps/{app_id}/packages/deploy",
        PACKAGES,
        scope=Scope.DEPLOY,
        app=True,
        upload=True,
        quoted=True,
    ),
    Forward("GET", "/api/agent-apps/{app_id}/packages", PACKAGES, scope=Scope.READ, app=True),
    Forward("GET", "/api/agent-apps/{app_id}/packages/{package_id}", PACKAGES, scope=Scope.READ, app=True),
    Forward("GET", "/api/agent-apps/{app_id}/packages/{package_id}/download", PACKAGES, scope=Scope.READ, app=True),
    Forward("DELETE", "/api/agent-apps/{app_id}/packages/{package_id}", PACKAGES, scope=Scope.DEPLOY, app=True),
    Forward("POST", "/api/agent-apps/{app_id}/packages/{package_id}/deploy", PACKAGES, scope=Scope.DEPLOY, app=True),
    Forward("POST", "/api/agent-apps/{app_id}/rollback", PACKAGES, scope=Scope.DEPLOY, app=True),
    Forward("POST", "/api/agent-apps/{app_id}/release", DEPLOYMENTS, scope=Scope.DEPLOY, app=True),
    Forward("POST", "/api/agent-apps/{app_id}/stop", DEPLOYMENTS, scope=Scope.DEPLOY, app=True),
    Forward("PUT", "/api/agent-apps/{app_id}/signing-keys", PACKAGES, scope=Scope.ADMIN, app=True),
    Forward("GET", "/api/agent-apps/{app_id}/signing-keys", PACKAGES, scope=Scope.READ, app=True),
    Forward("DELETE", "/api/agent-apps/{app_id}/signing-keys", PACKAGES, scope=Scope.ADMIN, app=True),
    Forward("GET", "/api/deployments/queue/stats", DEPLOYMENTS, public=True),
    Forward("GET", "/api/deployments", DEPLOYMENTS, scope=Scope.READ),
    Forward("GET", "/api/deployments/{deployment_id}", DEPLOYMENTS, scope=Scope.READ, status=True),
    Forward(
        "GET",
        "/api/deployments/{deployment_id}/events",
        DEPLOYMENTS,
        scope=Scope.READ,
        early=ErrorCode.NOT_YET_QUEUED,
    ),
    Forward(
        "POST",
        "/api/deployments/{deployment_id}/cancel",
        DEPLOYMENTS,
        scope=Scope.DEPLOY,
        early=ErrorCode.NOT_YET_QUEUED,
    ),
    Forward("GET", "/api/deployments/{deployment_id}/logs", NOTIFIER, scope=Scope.READ, early=ErrorCode.NO_LOGS),
    Forward("POST", "/api/deployments/{deployment_id}/retry", PACKAGES, scope=Scope.DEPLOY),
    Forward("GET", "/api/agent-apps/{app_id}/secrets", NOTIFIER, scope=Scope.SECRETS, app=True),
    Forward("POST", "/api/agent-apps/{app_id}/secrets", NOTIFIER, scope=Scope.SECRETS, app=True),
    Forward("DELETE", "/api/agent-apps/{app_id}/secrets", NOTIFIER, scope=Scope.SECRETS, app=True),
    Forward("GET", "/api/agent-apps/{app_id}/secrets/versions", NOTIFIER, scope=Scope.SECRETS, app=True),
    Forward("POST", "/api/agent-apps/{app_id}/secrets/restore", NOTIFIER, scope=Scope.SECRETS, app=True),
    Forward("PUT", "/api/agent-apps/{app_id}/secrets/{secret_name}", NOTIFIER, scope=Scope.SECRETS, app=True),
    Forward("DELETE", "/api/agent-apps/{app_id}/secrets/{secret_name}", NOTIFIER, scope=Scope.SECRETS, app=True),
    Forward("GET", "/api/credits", BILLING, scope=Scope.READ),
    Forward("GET", "/api/credits/ledger", BILLING, scope=Scope.READ),
    Forward("POST", "/api/admin/accounts/{account_id}/credits", BILLING, operator=True, account=True),
    Forward("GET", WEBHOOKS, NOTIFIER, scope=Scope.READ, app=True),
    Forward("POST", WEBHOOKS, NOTIFIER, scope=Scope.DEPLOY, app=True),
    Forward("GET", WEBHOOKS + "/{hook_id}", NOTIFIER, scope=Scope.READ, app=True),
    Forward("DELETE", WEBHOOKS + "/{hook_id}", NOTIFIER, scope=Scope.DEPLOY, app=True),
    Forward("GET", WEBHOOKS + "/{hook_id}/attempts", NOTIFIER, scope=Scope.READ, app=True),
    Forward("POST", WEBHOOKS + "/{hook_id}/rotate", NOTIFIER, scope=Scope.DEPLOY, app=True),
    Forward("POST", WEBHOOKS + "/{hook_id}/redeliver", NOTIFIER, scope=Scope.DEPLOY, app=True),
    Forward("POST", WEBHOOKS + "/{hook_id}/recover", NOTIFIER, scope=Scope.DEPLOY, app=True),
    Forward("POST", WEBHOOKS + "/{hook_id}/enable", NOTIFIER, scope=Scope.DEPLOY, app=True),
)

OWN = (
    Own("GET", "/api/agent-apps", Api.list_apps, scope=Scope.READ),
    Own("POST", "/api/agent-apps", Api.create_app, scope=Scope.ADMIN),
    Own("GET", "/api/agent-apps/{app_id}", Api.get_app, scope=Scope.READ, app=True),
    Own("PATCH", "/api/agent-apps/{app_id}", Api.change_app, scope=Scope.ADMIN, app=True),
    Own("DELETE", "/api/agent-apps/{app_id}", Api.delete_app, scope=Scope.ADMIN, app=True),
    Own("GET", "/api/agent-apps/{app_id}/env/explain", Api.explain_environment, scope=Scope.READ, app=True),
    Own("GET", "/api/api-keys", Api.list_keys, scope=Scope.READ),
    Own("POST", "/api/api-keys", Api.create_key, scope=Scope.ADMIN),
    Own("DELETE", "/api/api-keys/{key_id}", Api.revoke_key, scope=Scope.ADMIN),
    Own("GET", "/api/accounts", Api.list_accounts, scope=Scope.READ),
    Own("GET", "/api/accounts/{account_id}/members", Api.list_members, scope=Scope.READ, account=True),
    Own("POST", "/api/accounts/{account_id}/members", Api.put_member, scope=Scope.ADMIN, account=True),
    Own("DELETE", "/api/accounts/{account_id}/members/{user_id}", Api.remove_member, scope=Scope.ADMIN, account=True),
    Own("POST", "/api/admin/accounts", Api.open_account, operator=True),
    Own("POST", "/api/admin/accounts/{account_id}/suspension", Api.suspend_account, operator=True, account=True),
    Own("DELETE", "/api/admin/accounts/{account_id}/suspension", Api.resume_account, operator=True, account=True),
    Own("POST", "/api/admin/accounts/{account_id}/api-keys", Api.create_key_of_account, operator=True, account=True),
    Own("GET", "/api/deployments/{deployment_id}/proof", Api.get_proof, scope=Scope.READ),
    Own("GET", PUBLIC_KEYS_PATH, Api.get_proof_keys, public=True),
    Own("GET", "/api/ops/invariants", Api.get_invariants, operator=True),
    Own("GET", "/healthz", Api.health, public=True),
    Own("GET", "/livez", Api.health, public=True),
    Own("GET", "/readyz", Api.ready, public=True),
    Own("GET", "/openapi.json", documents.openapi, public=True),
    *(Own("GET", path, documents.page(path), public=True) for path in documents.PAGES),
)

ROUTES: tuple[Forward | Own, ...] = (*FORWARDS, *OWN)
