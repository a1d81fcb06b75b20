"""What every route of routes.py does, for the API's description; a route without its lines here fails `make check`."""

from collections.abc import Mapping
from typing import Final

from pac.contracts.api import DeploymentReply
from pac.contracts.bodies.billing import CreditsReply, EntryReply, GrantRequest, LedgerPage
from pac.contracts.bodies.deployments import StatsReply
from pac.contracts.bodies.packages import AcceptedReply, DeletedReply, PackageReply, PackagesReply
from pac.contracts.errors import ErrorCode
from pac.gateway import examples
from pac.gateway.description import IDEMPOTENCY_KEY, Description, Form, Schema, Text, flag, page
from pac.gateway.views import (
    AccountReply,
    AppChange,
    AppReply,
    AppsReply,
    HealthReply,
    InvariantsReply,
    KeysReply,
    MessageReply,
    NewAccount,
    NewApiKey,
    NewApp,
    NewKeyReply,
)

Key = tuple[str, str]
APPS, PACKAGES, DEPLOYMENTS = "Agent apps", "Packages", "Deployments"
KEYS, CREDITS, OPERATOR, SERVICE = "API keys", "Credits", "Operator", "This service"

FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
UPLOAD_FIELDS: Final[Mapping[str, Schema]] = {
    "file": {**FILE, "description": "The package, an .apkg."},
    "version": {
        "type": "string",
        "description": "Semantic. Left out: the one of the package's manifest.",
        "examples": ["1.2.0"],
    },
    "release_notes": {"type": "string", "examples": ["Fixed bugs and improved performance"]},
    "signature": {**FILE, "description": "agent.apkg.sig: OpenPGP, detached, over the package's bytes."},
}
DEPLOY_FIELDS: Final[Mapping[str, Schema]] = {
    **UPLOAD_FIELDS,
    "force_overwrite": {
        "type": "string",
        "enum": ["true", "false", "1", "0", "yes", "no", ""],
        "default": "false",
        "description": "The new package takes a version that exists, once its deployment completes.",
    },
    "environment": {
        "type": "string",
        "examples": ['{"LOG_LEVEL": "debug"}'],
        "description": "A JSON object of names and text values; wins over everything else the agent's environment "
        "is made of. Sealed on arrival, never shown again.",
    },
}
FAULTY = {ErrorCode.INVALID_PACKAGE: examples.INVALID_PACKAGE}

DESCRIPTIONS: Final[dict[Key, Description]] = {
    # ---- packages ----------------------------------------------------------------------------------------------------
    ("POST", "/api/agent-apps/{app_id}/packages"): Description(
        summary="Upload a new package",
        does="Validated whole before the answer, stored under its version, and not deployed: it costs nothing.",
        tag=PACKAGES,
        body=Form(UPLOAD_FIELDS, required=("file",)),
        answers={201: PackageReply},
        refuses=(ErrorCode.INVALID_PACKAGE, ErrorCode.VERSION_EXISTS),
        example=examples.UPLOADED,
        examples_of_errors=FAULTY,
    ),
    ("POST", "/api/agent-apps/{app_id}/packages/deploy"): Description(
        summary="Deploy a package to the runtime",
        does="With validation and credit deduction: 1 credit for each started megabyte, held while it runs and given "
        "back if it fails. Answered once the package's bytes are durable. Follow `tracking.status_url`.",
        tag=PACKAGES,
        body=Form(DEPLOY_FIELDS, required=("file",)),
        answers={202: AcceptedReply},
        refuses=(ErrorCode.INVALID_PACKAGE, ErrorCode.VERSION_EXISTS, ErrorCode.INSUFFICIENT_CREDITS),
        example=examples.ACCEPTED,
        examples_of_errors={**FAULTY, ErrorCode.INSUFFICIENT_CREDITS: examples.INSUFFICIENT_CREDITS},
    ),
    ("GET", "/api/agent-apps/{app_id}/packages"): Description(
        summary="List all packages of an agent app",
        tag=PACKAGES,
        parameters=page(200, 1000),
        answers={200: PackagesReply},
        example=examples.PACKAGES,
    ),
    ("GET", "/api/agent-apps/{app_id}/packages/{package_id}"): Description(
        summary="One package, with its manifest, metadata and warnings", tag=PACKAGES, answers={200: PackageReply}
    ),
    ("GET", "/api/agent-apps/{app_id}/packages/{package_id}/download"): Description(
        summary="Download a package",
        does="Leads to a signed address that works for a while.",
        tag=PACKAGES,
        answers={302: None},
        refuses=(ErrorCode.BYTES_GONE,),
        headers=("Location",),
    ),
    ("DELETE", "/api/agent-apps/{app_id}/packages/{package_id}"): Description(
        summary="Delete a package",
        does="Refused while a deployment uses it, or while it is the current release.",
        tag=PACKAGES,
        parameters=(flag("force", "Deletes the current release's package, which runs on until another is current."),),
        answers={200: DeletedReply},
        refuses=(ErrorCode.PACKAGE_IN_USE,),
        example=examples.DELETED,
    ),
    # ---- deployments -------------------------------------------------------------------------------------------------
    ("GET", "/api/deployments/queue/stats"): Description(
        summary="Deployment queue statistics",
        does="Counts only, at most a second old.",
        tag=DEPLOYMENTS,
        answers={200: StatsReply},
        refuses=(ErrorCode.THROTTLED,),
        example=examples.STATS,
    ),
    ("GET", "/api/deployments/{deployment_id}"): Description(
        summary="Deployment status and details",
        does="Made for polling: it is answered from what was known last when a service is away for a moment, with the "
        "header Age. `ETag` is the version of the deployment's log.",
        tag=DEPLOYMENTS,
        answers={200: DeploymentReply},
        headers=("ETag", "Age"),
        example=examples.DEPLOYMENT,
    ),
    # ---- credits -----------------------------------------------------------------------------------------------------
    ("GET", "/api/credits"): Description(summary="The account's credits", tag=CREDITS, answers={200: CreditsReply}),
    ("GET", "/api/credits/ledger"): Description(
        summary="The account's ledger",
        does="Newest first. `amount` is the signed change of `available`, `balance` is `available` after it.",
        tag=CREDITS,
        parameters=page(),
        answers={200: LedgerPage},
    ),
    ("POST", "/api/admin/accounts/{account_id}/credits"): Description(
        summary="Grant credits, or correct them",
        tag=OPERATOR,
        parameters=(IDEMPOTENCY_KEY,),
        body=GrantRequest,
        answers={201: EntryReply},
        refuses=(ErrorCode.CONFLICT, ErrorCode.IDEMPOTENCY_MISMATCH),
    ),
    # ---- agent apps --------------------------------------------------------------------------------------------------
    ("GET", "/api/agent-apps"): Description(
        summary="List the account's agent apps", tag=APPS, parameters=page(), answers={200: AppsReply}
    ),
    ("POST", "/api/agent-apps"): Description(
        summary="Create an agent app", tag=APPS, body=NewApp, answers={201: AppReply}
    ),
    ("GET", "/api/agent-apps/{app_id}"): Description(summary="One agent app", tag=APPS, answers={200: AppReply}),
    ("PATCH", "/api/agent-apps/{app_id}"): Description(
        summary="Change an agent app", tag=APPS, body=AppChange, answers={200: AppReply}
    ),
    ("DELETE", "/api/agent-apps/{app_id}"): Description(
        summary="Delete an agent app",
        does="What is open of it ends; its deployments and its lines in the ledger stay readable.",
        tag=APPS,
        answers={200: MessageReply},
    ),
    # ---- API keys ----------------------------------------------------------------------------------------------------
    ("GET", "/api/api-keys"): Description(
        summary="List the account's API keys",
        does="Never the keys themselves: their last four characters.",
        tag=KEYS,
        parameters=page(),
        answers={200: KeysReply},
    ),
    ("POST", "/api/api-keys"): Description(
        summary="Create an API key",
        does="With the scopes `deploy` and `read` unless told otherwise. The answer is the only one that shows it.",
        tag=KEYS,
        body=NewApiKey,
        answers={201: NewKeyReply},
    ),
    ("DELETE", "/api/api-keys/{key_id}"): Description(
        summary="Revoke an API key", does="In force everywhere within 5 s.", tag=KEYS, answers={200: MessageReply}
    ),
    # ---- the operator ------------------------------------------------------------------------------------------------
    ("POST", "/api/admin/accounts"): Description(
        summary="Open an account", tag=OPERATOR, body=NewAccount, answers={201: AccountReply}
    ),
    ("POST", "/api/admin/accounts/{account_id}/api-keys"): Description(
        summary="Create an API key of an account",
        does="With all scopes unless told otherwise: it is the account's first key.",
        tag=OPERATOR,
        body=NewApiKey,
        answers={201: NewKeyReply},
    ),
    ("GET", "/api/ops/invariants"): Description(
        summary="The live laws of all services", tag=OPERATOR, answers={200: InvariantsReply}
    ),
    # ---- this service ------------------------------------------------------------------------------------------------
    ("GET", "/healthz"): Description(summary="Is it well", tag=SERVICE, answers={200: HealthReply}),
    ("GET", "/livez"): Description(summary="Is it alive", tag=SERVICE, answers={200: HealthReply}),
    ("GET", "/readyz"): Description(
        summary="Does it take requests", tag=SERVICE, answers={200: HealthReply}, refuses=(ErrorCode.UNAVAILABLE,)
    ),
    ("GET", "/openapi.json"): Description(
        summary="This document",
        tag=SERVICE,
        answers={200: Text("application/json", {"type": "object"}), 304: None},
        headers=("ETag",),
    ),
    ("GET", "/docs"): Description(
        summary="A page to read this description with, and to try it",
        tag=SERVICE,
        answers={200: Text("text/html"), 304: None},
        headers=("ETag",),
    ),
    **{
        ("GET", path): Description(
            summary="A part of the page", tag=SERVICE, answers={200: Text(kind), 304: None}, headers=("ETag",)
        )
        for path, kind in (
            ("/docs/start.js", "text/javascript"),
            ("/docs/swagger-ui-bundle.js", "text/javascript"),
            ("/docs/swagger-ui.css", "text/css"),
        )
    },
}
