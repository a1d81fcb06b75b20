"""The bodies of packages' API, and of an accepted deployment: the specification's, with fields added."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import WithJsonSchema

from pac.contracts.api import Reply, Request, Sparse
from pac.contracts.base import Moment, Sha256

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
    """One package in a list or by itself; `manifest` and what follows it only by itself. `sbom` is CycloneDX 1.6."""

    id: UUID
    version: str
    s3_url: str
    size: int
    created_at: Moment
    sha256: str
    status: ShownStatus
    signature: str
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


class DryRunReply(Reply):
    """A deploy that would be accepted. The gateway adds billing's quote, if billing can be reached."""

    dry_run: Literal[True] = True
    package: DryRunPackage
    warnings: list[Finding]
    estimated_duration_seconds: int


class DeletedReply(Reply):
    message: str = "Package deleted successfully"
