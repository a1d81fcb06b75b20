"""Rows of the tables as the API shows them. Pure."""

from typing import Any

from sqlalchemy import Row

from pac.agentkit.apkg import Dependency
from pac.agentkit.sbom import Subject, bill_of_materials
from pac.contracts.api import DeploymentReply, DeploymentView, Progress, QueueView, pending_steps
from pac.contracts.base import Event, Source, Step, iso
from pac.contracts.bodies.packages import PackageView, Provenance, ShownStatus
from pac.contracts.envelope import Envelope
from pac.contracts.packages import PackageSubmitted, PackageUploaded
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


def package_view(row: Row[Any], *, s3_url: str, notes: str | None, current: bool) -> PackageView:
    """As a list shows it."""
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
    )


def whole_view(view: PackageView, row: Row[Any], told: Provenance | None) -> PackageView:
    """By itself: with all that is known of it."""
    known = {"manifest": row.manifest, "metadata": _metadata(row), "sbom": bill(row), "provenance": told}
    return view.model_copy(update=known)


def _metadata(row: Row[Any]) -> dict[str, Any] | None:
    if row.metadata is None:
        return None
    signature = {"verdict": row.signature, "signed_by": row.signed_by, "signing_key": row.signing_key}
    return {**row.metadata, "signature": signature}


def bill(row: Row[Any]) -> dict[str, Any] | None:
    """What the package is made of; None until it has been described."""
    if row.manifest is None or row.metadata is None:
        return None
    said = {name: row.manifest.get(name) for name in ("description", "license", "author")}
    subject = Subject(row.metadata["name"] or "agent", row.version, row.sha256, iso(row.created_at), **said)
    asked = row.metadata.get("dependencies") or ()  # not known of packages from before they were
    return bill_of_materials(subject, [Dependency(**dependency) for dependency in asked])


def provenance(told: Envelope[Event]) -> Provenance | None:
    """Of the event with which a package came in."""
    match told.event:
        case PackageUploaded() as event:
            deployment_id = None
        case PackageSubmitted() as event:
            deployment_id = event.deployment_id
        case _:
            return None
    return Provenance(
        uploaded_by=told.actor,
        uploaded_at=event.at,
        sha256=event.sha256,
        size_bytes=event.size_bytes,
        stream=told.stream,
        deployment_id=deployment_id,
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
