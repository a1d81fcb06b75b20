"""The form of an event in the table, the way back, and the chain of hashes through each stream."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from pac.contracts.base import Event, iso
from pac.contracts.envelope import Envelope
from pac.contracts.topics import EVENTS_OF, ServiceName
from pac.contracts.upcasting import UPCASTERS, Upcasters
from pac.eventlog.types import Cause, EventTooLarge, Placed

GENESIS = bytes(32)  # what stands before the first event of a stream
EVENT_MAX_BYTES = 900 * 1024  # Kafka takes 1 MiB with key and headers; an event that it refuses would stop the relay


@dataclass(frozen=True)
class Head:
    """Where a stream ends."""

    version: int = 0
    hash: bytes = GENESIS


def chained(
    before: bytes,
    *,
    stream: str,
    version: int,
    type_: str,
    data: Mapping[str, Any],
    metadata: Mapping[str, Any],
    at: datetime,
) -> bytes:
    """sha256(hash before ‖ canonical bytes)."""
    stored = canonical(stream=stream, version=version, type_=type_, data=data, metadata=metadata, at=at)
    return hashlib.sha256(before + stored).digest()


def canonical(
    *, stream: str, version: int, type_: str, data: Mapping[str, Any], metadata: Mapping[str, Any], at: datetime
) -> bytes:
    """What the hash is of: JSON, keys sorted, no spaces; no floats in any event."""
    stored = {"stream": stream, "version": version, "type": type_, "data": data, "metadata": metadata, "at": iso(at)}
    return orjson.dumps(stored, option=orjson.OPT_SORT_KEYS)


def rows_for(stream: str, head: Head, events: Sequence[Event], cause: Cause) -> tuple[list[Any], Head]:
    """Parameters of the INSERT, seven per event, and the stream's new head. Raises EventTooLarge."""
    parameters: list[Any] = []
    version, digest = head.version, head.hash
    because = cause_to(cause)
    for event in events:
        version += 1
        data = event.model_dump(mode="json")
        text = _bounded(event, stream, orjson.dumps(data))
        metadata = {**because, "id": str(uuid7()), "data_version": event.data_version}
        digest = chained(
            digest, stream=stream, version=version, type_=event.type, data=data, metadata=metadata, at=event.at
        )
        parameters += (
            stream,
            version,
            event.type,
            text,
            orjson.dumps(metadata).decode(),
            event.at,
            digest,
        )
    return parameters, Head(version, digest)


def _bounded(event: Event, stream: str, data: bytes) -> str:
    if len(data) > EVENT_MAX_BYTES:
        raise EventTooLarge(f"{event.type} on {stream} has {len(data)} bytes, {EVENT_MAX_BYTES} are allowed")
    return data.decode()


def cause_to(cause: Cause) -> dict[str, str]:
    known = {
        "actor": cause.actor,
        "correlation_id": str(cause.correlation_id),
        "causation_id": str(cause.causation_id) if cause.causation_id else None,
        "traceparent": cause.traceparent,
    }
    return {name: value for name, value in known.items() if value is not None}


def cause_from(known: Mapping[str, Any]) -> Cause:
    causation = known.get("causation_id")
    return Cause(
        actor=known["actor"],
        correlation_id=UUID(known["correlation_id"]),
        causation_id=UUID(causation) if causation else None,
        traceparent=known.get("traceparent"),
    )


def event_from(service: ServiceName, data: str, data_version: int, upcasters: Upcasters = UPCASTERS) -> Event:
    """What a row's data means today. Raises NewerThanKnown for what a later release has written."""
    return cast("Event", upcasters.read(EVENTS_OF[service], data, data_version))


def placed_from(
    service: ServiceName, rows: Iterable[tuple[Any, ...]], upcasters: Upcasters = UPCASTERS
) -> list[Placed]:
    """What rows (stream, version, data, version of the data, …) say when nobody asks for their causes."""
    read, adapter = upcasters.read, EVENTS_OF[service]
    return [Placed(row[0], row[1], read(adapter, row[2], row[3])) for row in rows]


def envelope_from(
    service: ServiceName, stream: str, version: int, data: str, metadata: str, *, upcasters: Upcasters = UPCASTERS
) -> Envelope[Event]:
    """What a row of the table says."""
    known = orjson.loads(metadata)
    cause = cause_from(known)
    return Envelope(
        id=UUID(known["id"]),
        source=service.value,
        stream=stream,
        version=version,
        event=event_from(service, data, known["data_version"], upcasters),
        actor=cause.actor,
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        traceparent=cause.traceparent,
    )
