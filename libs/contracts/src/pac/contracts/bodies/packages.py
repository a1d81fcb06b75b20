"""The bodies of packages' API, and of an accepted deployment: the specification's, with fields added."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field, WithJsonSchema

from pac.contracts.api import Reply, Request, Sparse
from pac.contracts.base import Moment, Sha256

SIGNING_KEYS_MAX: Final = 10
SIGNING_KEY_MAX_CHARACTERS: Final = 64 * 1024
# Of a signature: not given; not looked at, by the app's policy; given, and no key is there to verify it; good.
Verdict = Literal["none", "ignored", "unverified", "verified"]
ShownStatus = Literal["uploading", "stored", "superseded", "rejected", "deleted"]
# As the service has kept it: what a problem is, is decided once, by the check.
Finding = Annotated[
    dict[str, str],
    WithJsonSchema(
        {
            "type": "object",
            "title": "Finding",
            "description": "A fault or a warning. `code` is for machines and stays; `entry` is the file or field.",
            "properties": {name: {"type": "string"} for name in ("code", "message", "entry", "hint")},
            "required": ["code", "message"],
        }
    ),
]


class Provenance(Sparse):
    """Where a package comes from, as the log has it: who brought these bytes, when, and the event that says so."""

    uploaded_by: str
    uploaded_at: Moment
    sha256: Sha256
    size_bytes: int
    stream: str
    deployment_id: UUID | None = None


class PackageView(Sparse):
    """One package in a list or by itself; `manifest` and what follows it only by itself. `sbom` is CycloneDX 1.6.

    `signed_by`: fingerprint of the app's key that has signed it.
    """

    id: UUID
    version: str
    s3_url: str
    size: int
    created_at: Moment
    sha256: str
    status: ShownStatus
    signature: Verdict
    signed_by: str | None = None
    warnings: list[Finding]
    problems: list[Finding] | None = None
    release_notes: str | None = None
    superseded_by: UUID | None = None
    current: bool | None = None
    manifest: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    sbom: dict[str, Any] | None = None
    provenance: Provenance | None = None


class PackageReply(Reply):
    package: PackageView


class PackagesReply(Reply):
    packages: tuple[PackageView, ...]
    next_cursor: str | None


class AcceptedDeployment(Reply):
    id: UUID
    status: Literal["queued"] = "queued"
    message: str = "Deployment queued successfully"
    queued_at: Moment
    estimated_duration_seconds: int


class AcceptedPackage(Reply):
    id: UUID
    version: str
    size_bytes: int
    status: ShownStatus = "uploading"
    sha256: str
    warnings: list[Finding]
    signature: Verdict = "none"
    signed_by: str | None = None


class Tracking(Reply):
    status_url: str
    webhook_url: str


class AcceptedReply(Reply):
    deployment: AcceptedDeployment
    package: AcceptedPackage
    tracking: Tracking


class StoredDeploy(Request):
    """The fields of a deploy's form that say something without a file. `environment` may hold secrets."""

    release_notes: str | None = None
    environment: dict[str, str] | None = None


class RollbackRequest(Request):
    """`to`: a deployment of the app that has completed; else the release before the current one."""

    to: UUID | None = None


class DryRunPackage(Reply):
    version: str
    size_bytes: int
    sha256: str
    signature: Verdict = "none"
    signed_by: str | None = None


class DryRunReply(Reply):
    """A deploy that would be accepted. The gateway adds billing's quote, if billing can be reached."""

    dry_run: Literal[True] = True
    package: DryRunPackage
    warnings: list[Finding]
    estimated_duration_seconds: int


class DeletedReply(Reply):
    message: str = "Package deleted successfully"


# ---- who may sign ----------------------------------------------------------------------------------------------------


class SigningKeysChange(Request):
    """All of the app's keys, armored and public; whichever is not among them signs nothing more."""

    keys: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=SIGNING_KEY_MAX_CHARACTERS)]],
        Field(max_length=SIGNING_KEYS_MAX),
    ]


class SubkeyView(Reply):
    """The primary key itself, or a subkey of it, that may sign."""

    fingerprint: str
    created_at: Moment
    expires_at: Moment | None


class SigningKeyView(Reply):
    """`user_ids` is what the key says of itself; nobody has checked it. `added_at`: first seen here."""

    fingerprint: str
    user_ids: list[str]
    created_at: Moment
    expires_at: Moment | None
    signing: list[SubkeyView]
    added_at: Moment


class SigningKeysReply(Reply):
    keys: tuple[SigningKeyView, ...]


class SigningKeysDeletedReply(Reply):
    message: str = "Signing keys deleted successfully"
