"""What every route of routes.py does, for the API's description; a route without its lines here fails `make check`."""

from collections.abc import Mapping
from typing import Final

from pac.contracts.api import DeploymentReply
from pac.contracts.bodies.billing import CreditsReply, EntryReply, GrantRequest, LedgerPage
from pac.contracts.bodies.deployments import AppStateReply, DeploymentsReply, EventsReply, StatsReply
from pac.contracts.bodies.logs import LogsReply
from pac.contracts.bodies.packages import (
    AcceptedReply,
    DeletedReply,
    PackageReply,
    PackagesReply,
    RollbackRequest,
    SigningKeysChange,
    SigningKeysDeletedReply,
    SigningKeysReply,
    StoredDeploy,
)
from pac.contracts.bodies.secrets import (
    PutSecret,
    RestoreSecrets,
    SecretSavedReply,
    SecretsDeletedReply,
    SecretsReply,
    SecretsSavedReply,
    SecretsVersionsReply,
    SetSecrets,
)
from pac.contracts.bodies.webhooks import (
    AttemptsReply,
    NewWebhook,
    NewWebhookReply,
    Recover,
    Redeliver,
    RequeuedReply,
    WebhookDeletedReply,
    WebhookReply,
    WebhooksReply,
)
from pac.contracts.errors import ErrorCode
from pac.gateway import examples
from pac.gateway.description import Description, Form, Parameter, Schema, Text, flag, page
from pac.gateway.views import (
    AccountReply,
    AccountsReply,
    AppChange,
    AppReply,
    AppsReply,
    ExplainedReply,
    HealthReply,
    InvariantsReply,
    KeysReply,
    MemberReply,
    MembersReply,
    MessageReply,
    NewAccount,
    NewApiKey,
    NewApp,
    NewKeyReply,
    NewMember,
    Nothing,
    ProofKeysReply,
    ProofReply,
    QuotedDryRun,
)
from pac.servicekit.proof.form import PUBLIC_KEYS_PATH

Key = tuple[str, str]
APPS, PACKAGES, DEPLOYMENTS, SECRETS = "Agent apps", "Packages", "Deployments", "Secrets"
WEBHOOKS = "Webhooks"
ACCOUNTS, KEYS, CREDITS, OPERATOR, SERVICE = "Accounts", "API keys", "Credits", "Operator", "This service"

FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
UPLOAD_FIELDS: Final[Mapping[str, Schema]] = {
    "file": {**FILE, "description": "The package, an .apkg."},
    "version": {
        "type": "string",
        "description": "Semantic. Left out: the one of the package's manifest.",
        "examples": ["1.2.0"],
    },
    "release_notes": {"type": "string", "examples": ["Fixed bugs and improved performance"]},
    "signature": {
        **FILE,
        "description": "agent.apkg.sig: OpenPGP, detached, over the package's bytes, binary or armored.",
    },
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
AS_OF = Parameter(
    "as_of",
    "As it was: at a version from 1, or at a time with its zone, once that is two seconds ago.",
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 999_999_999},
            {"type": "string", "format": "date-time"},
        ]
    },
)
LISTED = (
    Parameter("app", "Of this agent app only.", {"type": "string", "format": "uuid"}),
    Parameter(
        "status",
        "Those in this status only.",
        {"type": "string", "enum": ["queued", "processing", "completed", "failed"]},
    ),
)
VERSION = {"type": "string", "pattern": "^[0-9]{0,9}$"}  # an empty one says nothing
AFTER = (
    Parameter("after", "What follows this version.", VERSION),
    Parameter("Last-Event-ID", "The same, before `after`; a browser that returns sends it.", VERSION, header=True),
)
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
        "back if it fails. Answered once the package's bytes are durable. Follow `tracking.status_url`. A dry run "
        "(200) checks everything and keeps nothing; too few credits are no refusal there.",
        tag=PACKAGES,
        parameters=(flag("dry_run", "Would it be accepted, and what would it cost?"),),
        body=Form(DEPLOY_FIELDS, required=("file",)),
        answers={202: AcceptedReply, 200: QuotedDryRun},
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
        summary="One package, with its manifest, metadata and warnings",
        does="Its files with their sha256, what it declares that it needs (`sbom`, CycloneDX 1.6), and who brought its "
        "bytes when (`provenance`, out of the log).",
        tag=PACKAGES,
        answers={200: PackageReply},
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
        does="Refused while a deployment uses it, or while it is the current release. Its bytes go a day later, with "
        "the last package of the account that has the same.",
        tag=PACKAGES,
        parameters=(
            flag("force", "Deletes the current release's package, which runs on; for owners, and keys with `admin`."),
        ),
        answers={200: DeletedReply},
        refuses=(ErrorCode.PACKAGE_IN_USE,),
        example=examples.DELETED,
    ),
    ("POST", "/api/agent-apps/{app_id}/packages/{package_id}/deploy"): Description(
        summary="Deploy a package that is stored",
        does="At the price of its upload; the steps that it has behind it are not done again.",
        tag=PACKAGES,
        body=StoredDeploy,
        answers={202: AcceptedReply},
        refuses=(
            ErrorCode.INVALID_PACKAGE,
            ErrorCode.INSUFFICIENT_CREDITS,
            ErrorCode.PACKAGE_NOT_STORED,
            ErrorCode.DEPLOYMENT_OPEN,
        ),
    ),
    # ---- who may sign ------------------------------------------------------------------------------------------------
    ("PUT", "/api/agent-apps/{app_id}/signing-keys"): Description(
        summary="Say which OpenPGP keys may sign an agent app's packages",
        does="These and no others: what is signed with a key that is left out is accepted no more. Whether a package "
        "must be signed says the app's `signature_policy`.",
        tag=PACKAGES,
        body=SigningKeysChange,
        answers={200: SigningKeysReply},
    ),
    ("GET", "/api/agent-apps/{app_id}/signing-keys"): Description(
        summary="The keys that may sign an agent app's packages", tag=PACKAGES, answers={200: SigningKeysReply}
    ),
    ("DELETE", "/api/agent-apps/{app_id}/signing-keys"): Description(
        summary="Remove all signing keys of an agent app", tag=PACKAGES, answers={200: SigningKeysDeletedReply}
    ),
    # ---- deployments -------------------------------------------------------------------------------------------------
    ("GET", "/api/deployments/queue/stats"): Description(
        summary="Deployment queue statistics",
        does="Counts only, at most a second old.",
        tag=DEPLOYMENTS,
        answers={200: StatsReply},
        example=examples.STATS,
    ),
    ("GET", "/api/deployments"): Description(
        summary="List the account's deployments",
        does="Newest first.",
        tag=DEPLOYMENTS,
        parameters=(*LISTED, *page()),
        answers={200: DeploymentsReply},
    ),
    ("GET", "/api/deployments/{deployment_id}"): Description(
        summary="Deployment status and details",
        does="Made for polling: it is answered from what was known last when a service is away for a moment, with the "
        "header Age. `ETag` is the version of the deployment's log. With `as_of` only the log answers.",
        tag=DEPLOYMENTS,
        parameters=(AS_OF,),
        answers={200: DeploymentReply, 304: None},
        headers=("ETag", "Age"),
        example=examples.DEPLOYMENT,
    ),
    ("GET", "/api/deployments/{deployment_id}/events"): Description(
        summary="The events of a deployment",
        does="A page; with `Accept: text/event-stream` a stream that goes on as they happen, up to the end. A message "
        "has the version as `id`, the type as `event`, and as `data` what the page shows. 204 for whoever has seen the "
        "end.",
        tag=DEPLOYMENTS,
        parameters=(*AFTER, *page(100, 500)),
        answers={200: (EventsReply, Text("text/event-stream")), 204: None},
        refuses=(ErrorCode.NOT_YET_QUEUED,),
    ),
    ("GET", "/api/deployments/{deployment_id}/proof"): Description(
        summary="The proof of a deployment",
        does="What each service has recorded of it, signed by that service; `pac verify` checks it offline.",
        tag=DEPLOYMENTS,
        answers={200: ProofReply},
    ),
    ("GET", PUBLIC_KEYS_PATH): Description(
        summary="The public keys that proofs are signed with", tag=DEPLOYMENTS, answers={200: ProofKeysReply}
    ),
    ("POST", "/api/deployments/{deployment_id}/cancel"): Description(
        summary="Cancel a deployment",
        does="Accepted while it can still end without a release; its credits come back.",
        tag=DEPLOYMENTS,
        body=Nothing,
        answers={202: DeploymentReply},
        refuses=(ErrorCode.NOT_YET_QUEUED, ErrorCode.TOO_LATE, ErrorCode.ALREADY_FINISHED),
        headers=("ETag",),
    ),
    ("POST", "/api/deployments/{deployment_id}/retry"): Description(
        summary="Retry a deployment that has failed",
        does="A new one of the same package, with the same environment, from the step that was reached.",
        tag=DEPLOYMENTS,
        body=Nothing,
        answers={202: AcceptedReply},
        refuses=(
            ErrorCode.INVALID_PACKAGE,
            ErrorCode.INSUFFICIENT_CREDITS,
            ErrorCode.DEPLOYMENT_OPEN,
            ErrorCode.VERSION_TAKEN,
            ErrorCode.NOT_RETRIABLE,
            ErrorCode.BYTES_GONE,
        ),
    ),
    ("POST", "/api/agent-apps/{app_id}/rollback"): Description(
        summary="Go back to a release of before",
        does="A new deployment of what ran then, with the environment it had then. It costs nothing. Once it has "
        "completed the app is pinned: deployments complete but do not become current, until the pin is released.",
        tag=DEPLOYMENTS,
        body=RollbackRequest,
        answers={202: AcceptedReply},
        refuses=(
            ErrorCode.INVALID_PACKAGE,
            ErrorCode.NO_RELEASE,
            ErrorCode.DEPLOYMENT_OPEN,
            ErrorCode.PACKAGE_NOT_STORED,
            ErrorCode.BYTES_GONE,
            ErrorCode.CONFLICT,
        ),
    ),
    ("POST", "/api/agent-apps/{app_id}/release"): Description(
        summary="Release the pin of a rollback",
        does="What is deployed from now on becomes current again.",
        tag=DEPLOYMENTS,
        body=Nothing,
        answers={200: AppStateReply},
    ),
    ("POST", "/api/agent-apps/{app_id}/stop"): Description(
        summary="Stop what runs of an app",
        does="Nothing of it runs until something is deployed again; what is being deployed at the moment will run.",
        tag=DEPLOYMENTS,
        body=Nothing,
        answers={200: AppStateReply},
    ),
    ("GET", "/api/deployments/{deployment_id}/logs"): Description(
        summary="What the agent has printed",
        does="The newest lines that fit, with the values that it was given taken out, where its runtime gives them. "
        "With `Accept: text/event-stream` a stream that goes on: a message has a place as `id`, `line` as `event`, and "
        "as `data` what the page shows of a line. It ends with the agent, or after a while: come back with "
        "`Last-Event-ID`. 204 for whoever has seen the end.",
        tag=DEPLOYMENTS,
        parameters=(
            Parameter("limit_bytes", "Of text, at most.", {"type": "integer", "minimum": 1, "maximum": 65_536}),
            Parameter("Last-Event-ID", "Of a stream: what follows this line.", {"type": "string"}, header=True),
        ),
        answers={200: (LogsReply, Text("text/event-stream")), 204: None},
        refuses=(ErrorCode.NO_LOGS,),
    ),
    # ---- secrets -----------------------------------------------------------------------------------------------------
    ("GET", "/api/agent-apps/{app_id}/secrets"): Description(
        summary="List the app's secrets",
        does="With their values, unless masked: clients such as `pixell` mask them themselves.",
        tag=SECRETS,
        parameters=(flag("masked", "Names only: `***` stands for each value."),),
        answers={200: SecretsReply},
    ),
    ("POST", "/api/agent-apps/{app_id}/secrets"): Description(
        summary="Set all of the app's secrets",
        does="What is not named is deleted. An agent is given them with the next start that PAC gives it.",
        tag=SECRETS,
        body=SetSecrets,
        answers={200: SecretsSavedReply},
    ),
    ("DELETE", "/api/agent-apps/{app_id}/secrets"): Description(
        summary="Delete all of the app's secrets", tag=SECRETS, answers={200: SecretsDeletedReply}
    ),
    ("GET", "/api/agent-apps/{app_id}/secrets/versions"): Description(
        summary="How the app's secrets changed",
        does="The newest change first: which names, by whom, when. Those from `oldest` on can be restored.",
        tag=SECRETS,
        answers={200: SecretsVersionsReply},
    ),
    ("POST", "/api/agent-apps/{app_id}/secrets/restore"): Description(
        summary="Restore a version of the app's secrets",
        does="All, or with `key` that one, as they were then, as a new version. Version 0 is before the first secret.",
        tag=SECRETS,
        body=RestoreSecrets,
        answers={200: SecretsSavedReply},
    ),
    ("PUT", "/api/agent-apps/{app_id}/secrets/{secret_name}"): Description(
        summary="Set one secret",
        does="The others stay. The value that it has already changes nothing.",
        tag=SECRETS,
        body=PutSecret,
        answers={200: SecretSavedReply},
    ),
    ("DELETE", "/api/agent-apps/{app_id}/secrets/{secret_name}"): Description(
        summary="Delete one secret", tag=SECRETS, answers={200: SecretSavedReply}
    ),
    ("GET", "/api/agent-apps/{app_id}/env/explain"): Description(
        summary="Where the agent's environment comes from",
        does="Per name: which layer wins, which lose, and who set it when, as the next start would have it. Names, "
        "never a value. What PAC does not know of is in `unknown`.",
        tag=SECRETS,
        answers={200: ExplainedReply},
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
        body=GrantRequest,
        answers={201: EntryReply},
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
        summary="Change an agent app",
        does="`runtime` holds for what is deployed from now on; what runs stays where it is until then. "
        "With the `deploy_policy` `on_secrets` a change of the app's secrets deploys what runs once more, at no cost.",
        tag=APPS,
        body=AppChange,
        answers={200: AppReply},
    ),
    ("DELETE", "/api/agent-apps/{app_id}"): Description(
        summary="Delete an agent app",
        does="Refused while a deployment of it is open or a release of it runs. Its signing keys go with it; its "
        "deployments and its lines in the ledger stay readable.",
        tag=APPS,
        parameters=(flag("force", "Deletes it all the same: what is open of it ends, what runs of it is stopped."),),
        answers={200: MessageReply},
        refuses=(ErrorCode.APP_IN_USE,),
    ),
    # ---- webhooks ----------------------------------------------------------------------------------------------------
    ("GET", "/api/agent-apps/{app_id}/webhooks"): Description(
        summary="List the app's webhooks", tag=WEBHOOKS, parameters=page(), answers={200: WebhooksReply}
    ),
    ("POST", "/api/agent-apps/{app_id}/webhooks"): Description(
        summary="Register an endpoint that is told of the app's deployments",
        does="By Standard Webhooks: POSTs that are signed with the secret, which only this answer shows. "
        "With `from`, what there was since then is sent first.",
        tag=WEBHOOKS,
        body=NewWebhook,
        answers={201: NewWebhookReply},
    ),
    ("GET", "/api/agent-apps/{app_id}/webhooks/{hook_id}"): Description(
        summary="One webhook, and how it fares", tag=WEBHOOKS, answers={200: WebhookReply}
    ),
    ("DELETE", "/api/agent-apps/{app_id}/webhooks/{hook_id}"): Description(
        summary="Delete a webhook, with what still waits for it",
        tag=WEBHOOKS,
        answers={200: WebhookDeletedReply},
    ),
    ("GET", "/api/agent-apps/{app_id}/webhooks/{hook_id}/attempts"): Description(
        summary="Every attempt at a delivery, newest first",
        tag=WEBHOOKS,
        parameters=page(),
        answers={200: AttemptsReply},
    ),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/rotate"): Description(
        summary="Give a webhook a new secret",
        does="Only this answer shows it. The one before signs beside it for 24 hours.",
        tag=WEBHOOKS,
        body=Nothing,
        answers={200: NewWebhookReply},
    ),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/redeliver"): Description(
        summary="Deliver the notice of one attempt again",
        does="Under the same id, whatever became of it; without `attempt_id` that of the newest attempt.",
        tag=WEBHOOKS,
        body=Redeliver,
        answers={202: RequeuedReply},
    ),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/recover"): Description(
        summary="Deliver what was not delivered of a span of time",
        does="Under the same ids. 10,000 notices at most.",
        tag=WEBHOOKS,
        body=Recover,
        answers={202: RequeuedReply},
    ),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/enable"): Description(
        summary="Enable a webhook that was disabled",
        does="It is sent what happens from now on; `recover` sends what it has missed.",
        tag=WEBHOOKS,
        body=Nothing,
        answers={200: WebhookReply},
    ),
    # ---- accounts ----------------------------------------------------------------------------------------------------
    ("GET", "/api/accounts"): Description(
        summary="The accounts that the caller may act for",
        does="A user's personal one first; an API key has one.",
        tag=ACCOUNTS,
        answers={200: AccountsReply},
    ),
    ("GET", "/api/accounts/{account_id}/members"): Description(
        summary="List the account's members", tag=ACCOUNTS, parameters=page(), answers={200: MembersReply}
    ),
    ("POST", "/api/accounts/{account_id}/members"): Description(
        summary="Add a member, or change their role",
        does="201 for somebody new, 200 for another role. The owner of a personal account stays its owner.",
        tag=ACCOUNTS,
        body=NewMember,
        answers={201: MemberReply, 200: MemberReply},
    ),
    ("DELETE", "/api/accounts/{account_id}/members/{user_id}"): Description(
        summary="Remove a member",
        does="In force everywhere within 5 s.",
        tag=ACCOUNTS,
        answers={200: MessageReply},
        refuses=(ErrorCode.CONFLICT,),
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
    ("POST", "/api/admin/accounts/{account_id}/suspension"): Description(
        summary="Suspend an account",
        does="It reads and does not write, everywhere within 5 s; what is on its way goes on.",
        tag=OPERATOR,
        body=Nothing,
        answers={200: AccountReply},
    ),
    ("DELETE", "/api/admin/accounts/{account_id}/suspension"): Description(
        summary="Resume an account", tag=OPERATOR, answers={200: AccountReply}
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
