"""The shapes of the API for packages and for an accepted deployment: the specification's, with fields added."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from pac.contracts.api import DeploymentReply, DeploymentView, Progress, QueueView, Reply, Sparse, pending_steps
from pac.contracts.base import Moment, Source, Step
from pac.packages.domain.versions import Status

ShownStatus = Literal["uploading", "stored", "superseded", "rejected", "deleted"]


class PackageView(Sparse):
    """One package in a list or by itself; `manifest` and what follows it only by itself."""

    id: UUID
    version: str
    s3_url: str
    size: int
    created_at: Moment
    sha256: str
    status: ShownStatus
    signature: str
    warnings: list[dict[str, str]]
    problems: list[dict[str, str]] | None = None
    release_notes: str | None = None
    superseded_by: UUID | None = None
    current: bool | None = None
    manifest: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


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
    warnings: list[dict[str, str]]


class Tracking(Reply):
    status_url: str
    webhook_url: str


class AcceptedReply(Reply):
    deployment: AcceptedDeployment
    package: AcceptedPackage
    tracking: Tracking


class DryRunPackage(Reply):
    version: str
    size_bytes: int
    sha256: str


class DryRunReply(Reply):
    """A deploy that would be accepted. The gateway adds billing's quote, if billing can be reached."""

    dry_run: Literal[True] = True
    package: DryRunPackage
    warnings: list[dict[str, str]]
    estimated_duration_seconds: int


class DeletedReply(Reply):
    message: str = "Package deleted successfully"


def shown_status(status: str) -> ShownStatus:
    match Status(status):
        case Status.UPLOADING:
            return "uploading"
        case Status.STORED:
            return "stored"
        case Status.SUPERSEDED:
            return "superseded"
        case Status.REJECTED | Status.WITHDRAWN:
            return "rejected"
        case Status.DELETED:
            return "deleted"


def package_view(row: Row[Any], *, s3_url: str, notes: str | None, current: bool, whole: bool = False) -> PackageView:
    return PackageView(
        id=row.package_id,
        version=row.version,
        s3_url=s3_url,
        size=row.size_bytes,
        created_at=row.created_at,
        sha256=row.sha256,
        status=shown_status(row.status),
        signature=row.signature,
        warnings=row.warnings,
        problems=row.problems,
        release_notes=notes,
        superseded_by=row.superseded_by,
        current=current,
        manifest=row.manifest if whole else None,
        metadata=row.metadata if whole else None,
    )


def submission_view(row: Row[Any]) -> DeploymentReply:
    """A deployment that the hub has not answered for yet: it is queued, and that is all that is known here."""
    return DeploymentReply(
        deployment=DeploymentView(
            id=row.deployment_id,
            status="queued",
            package_id=row.package_id,
            agent_app_id=row.app_id,
            version=row.version,
            created_at=row.queued_at,
            progress=Progress(current_step=None, steps=pending_steps(tuple(Step(step) for step in row.done))),
            source=Source(row.source),
            queue=QueueView(position=None, reason="not_yet_queued", eta_p50_seconds=None, eta_p90_seconds=None),
        )
    )
