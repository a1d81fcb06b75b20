"""Rows of the tables as the API shows them. Pure."""

from typing import Any

from sqlalchemy import Row

from pac.contracts.api import DeploymentReply, DeploymentView, Progress, QueueView, pending_steps
from pac.contracts.base import Source, Step
from pac.contracts.bodies.packages import PackageView, ShownStatus
from pac.packages.domain.versions import Status


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
        signed_by=row.signed_by,
        warnings=row.warnings,
        problems=row.problems,
        release_notes=notes,
        superseded_by=row.superseded_by,
        current=current,
        manifest=row.manifest if whole else None,
        metadata=_metadata(row) if whole else None,
    )


def _metadata(row: Row[Any]) -> dict[str, Any] | None:
    if row.metadata is None:
        return None
    signature = {"verdict": row.signature, "signed_by": row.signed_by, "signing_key": row.signing_key}
    return {**row.metadata, "signature": signature}


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
