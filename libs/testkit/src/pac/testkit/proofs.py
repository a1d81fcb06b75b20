"""Proofs made without a PAC: deployments in every kind of end, as the services would have recorded them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from pac.billing.books import movement_of
from pac.contracts.base import Event, Outcome, Source, Step, iso
from pac.contracts.billing import CreditsCaptured, CreditsRefused, CreditsReleased, CreditsReserved
from pac.contracts.deployments import (
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentFailed,
    DeploymentQueued,
    DeploymentRejected,
    StepStarted,
)
from pac.contracts.packages import PackageSubmitted
from pac.contracts.topics import ServiceName
from pac.eventlog import Cause
from pac.eventlog.record import GENESIS, Head, rows_for
from pac.servicekit.proof.form import CATEGORIES, FORM, stream_of, written
from pac.servicekit.proof.serving import _event
from pac.servicekit.proof.signing import ProofSigner

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACCOUNT, DEPLOYMENT, APP, PACKAGE = (UUID(int=number, version=4) for number in range(1, 5))
SIGNERS = {service: ProofSigner(bytes([number]) * 32) for number, service in enumerate(CATEGORIES, start=1)}
FACTS: Mapping[str, Any] = {"account_id": ACCOUNT, "deployment_id": DEPLOYMENT}
APP_FACTS: Mapping[str, Any] = {**FACTS, "agent_app_id": APP, "package_id": PACKAGE}
BYTES: Mapping[str, Any] = {
    "package_version": "1.0.0",
    "sha256": "0" * 64,
    "size_bytes": 5_000_000,
    "object_key": "packages/1",
}
CREDITS = 5
ENDS = ("succeeded", "failed", "cancelled", "rejected")


@dataclass
class Book:
    """What each service records, in order; an event's cause is any event that was recorded before."""

    events: dict[ServiceName, list[dict[str, Any]]] = field(default_factory=dict)
    heads: dict[ServiceName, Head] = field(default_factory=dict)
    at: datetime = NOON

    def record(self, service: ServiceName, kind: type[Event], cause: str | None = None, **facts: Any) -> str:
        """The recorded event's id."""
        stream, head = stream_of(service, DEPLOYMENT), self.heads.get(service, Head(0, GENESIS))
        self.at += timedelta(seconds=1)
        event = kind(at=self.at, **facts)
        because = Cause("key-1", DEPLOYMENT, UUID(cause) if cause else None)
        (_, version, type_, data, metadata, at, digest), self.heads[service] = rows_for(stream, head, [event], because)
        self.events.setdefault(service, []).append(_event(stream, (version, type_, data, metadata, at, digest)))
        found: str = orjson.loads(metadata)["id"]
        return found

    def proof(self, *missing: ServiceName) -> dict[str, Any]:
        return {
            "form": FORM,
            "deployment_id": str(DEPLOYMENT),
            "parts": [self.part(service) for service in CATEGORIES if service not in missing],
            "missing": [service.value for service in CATEGORIES if service in missing],
        }

    def part(self, service: ServiceName) -> dict[str, Any]:
        events = self.events.get(service, [])
        statement: dict[str, Any] = {
            "account_id": str(ACCOUNT),
            "deployment_id": str(DEPLOYMENT),
            "service": service.value,
            "stream": stream_of(service, DEPLOYMENT),
            "version": len(events),
            "hash": events[-1]["hash"] if events else GENESIS.hex(),
            "signed_at": iso(self.at),
        }
        if service is ServiceName.BILLING:
            statement["ledger"] = ledger_of(events)
        return {**SIGNERS[service].signed(statement), "events": events}


def ledger_of(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kinds = {kind.__name__: kind for kind in (CreditsReserved, CreditsRefused, CreditsCaptured, CreditsReleased)}
    available, found = 100, list[dict[str, Any]]()
    for event in events:
        if (movement := movement_of(kinds[event["type"]].model_validate(event["data"]))) is None:
            continue
        available += movement.amount
        legs = {book.value: amount for book, amount in movement.legs.items()}
        shown = {"id": str(movement.id), "at": event["at"], "kind": movement.kind.value, "amount": movement.amount}
        found.append({**shown, "balance": available, "legs": legs})
    return found


def recorded(end: str, *, credits_: int = CREDITS) -> Book:
    """A deployment that has ended so; `open` has not."""
    book = Book()
    hub, billing, facts = ServiceName.DEPLOYMENTS, ServiceName.BILLING, {**APP_FACTS, **BYTES, "no": 1}
    submitted = book.record(ServiceName.PACKAGES, PackageSubmitted, source=Source.UPLOAD, **facts)
    queued = book.record(hub, DeploymentQueued, submitted, source=Source.UPLOAD, billable=True, **facts)
    if end == "rejected":
        refused = {"required": credits_, "available": 1}
        decided = book.record(billing, CreditsRefused, queued, **FACTS, **refused)
        ended = {"code": "insufficient_credits", "error": "Insufficient credits", **refused}
        _abort(book, decided, Outcome.REJECTED, **ended)
        book.record(hub, DeploymentRejected, decided, **APP_FACTS, **ended)
        return book
    reserved = book.record(billing, CreditsReserved, queued, **FACTS, amount=credits_)
    if end == "succeeded":
        order = {**APP_FACTS, **BYTES, "step": Step.FINALIZE, "attempt": 1, "due_at": NOON, "release": 1}
        asked = book.record(hub, StepStarted, reserved, **order)
        captured = book.record(billing, CreditsCaptured, asked, **FACTS, amount=credits_, attempt=1)
        book.record(hub, DeploymentCompleted, captured, release=1, **facts)
    elif end != "open":
        outcome, kind = (
            (Outcome.FAILED, DeploymentFailed) if end == "failed" else (Outcome.CANCELLED, DeploymentCancelled)
        )
        ended = {"code": end, "error": f"It was {end}"}
        aborted = _abort(book, reserved, outcome, **ended)
        released = book.record(billing, CreditsReleased, aborted, **FACTS, amount=credits_)
        book.record(hub, kind, released, **APP_FACTS, **ended)
    return book


def _abort(book: Book, cause: str, outcome: Outcome, **facts: Any) -> str:
    return book.record(
        ServiceName.DEPLOYMENTS, DeploymentAborted, cause, outcome=outcome, due_at=NOON, **APP_FACTS, **facts
    )


def content_of(end: str, *missing: ServiceName) -> bytes:
    return written(recorded(end).proof(*missing))
