"""An event with all that is known about it: where it stands, who caused it; and its form in Kafka.

CloudEvents 1.0, binary content mode of the Kafka protocol binding: attributes in `ce_` headers, the data as JSON value.
`ce_sequence` is the version in the stream, `ce_dataversion` the version of the type.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from pac.contracts.base import Event, iso
from pac.contracts.upcasting import UPCASTERS, Upcasters

CONTENT_TYPE = "application/json"
E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True)
class Envelope(Generic[E_co]):
    """One recorded event. `actor` is an opaque id; `source` the service; `stream` e.g. `deployment-<uuid>`."""

    id: UUID
    source: str
    stream: str
    version: int
    event: E_co
    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    traceparent: str | None = None

    @property
    def key(self) -> str:
        """The Kafka key: the deployment's id for each of its streams, else the stream's own id (`flow.md`)."""
        return key_of(self.stream)

    @property
    def at(self) -> datetime:
        return self.event.at


def key_of(stream: str) -> str:
    return stream.partition("-")[2]


class NotAnEvent(ValueError):  # noqa: N818 - says what the message is, like the other names of the contract
    """A Kafka message without the headers of an event, or with others than its value."""


def to_kafka(envelope: Envelope[Event]) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the message."""
    event = envelope.event
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": str(envelope.id),
        "ce_type": event.type,
        "ce_source": envelope.source,
        "ce_subject": envelope.stream,
        "ce_time": iso(event.at),
        "ce_dataversion": str(event.data_version),
        "ce_sequence": str(envelope.version),
        "ce_actor": envelope.actor,
        "ce_correlationid": str(envelope.correlation_id),
        "ce_causationid": str(envelope.causation_id) if envelope.causation_id else None,
        "traceparent": envelope.traceparent,
        "content-type": CONTENT_TYPE,
    }
    headers = [(name, text.encode()) for name, text in attributes.items() if text is not None]
    return envelope.key.encode(), event.model_dump_json().encode(), headers


def attributes_of(headers: Iterable[tuple[str, bytes]] | Mapping[str, str]) -> dict[str, str]:
    if isinstance(headers, Mapping):
        return dict(headers)
    return {name: value.decode() for name, value in headers}


def from_kafka(
    value: bytes,
    headers: Iterable[tuple[str, bytes]] | Mapping[str, str],
    adapter: TypeAdapter[E],
    upcasters: Upcasters = UPCASTERS,
) -> Envelope[E]:
    """The inverse of `to_kafka`, for data of every version up to the code's.

    Raises NotAnEvent; NewerThanKnown for what a later release has said; pydantic's ValidationError for another shape.
    """
    attributes = attributes_of(headers)
    event = upcasters.read(adapter, value, _data_version(attributes))
    try:
        causation = attributes.get("ce_causationid")
        envelope = Envelope(
            id=UUID(attributes["ce_id"]),
            source=attributes["ce_source"],
            stream=attributes["ce_subject"],
            version=int(attributes["ce_sequence"]),
            event=event,
            actor=attributes["ce_actor"],
            correlation_id=UUID(attributes["ce_correlationid"]),
            causation_id=UUID(causation) if causation else None,
            traceparent=attributes.get("traceparent"),
        )
    except KeyError as missing:
        raise NotAnEvent(f"the message has no header {missing}") from missing
    if envelope.event.type != attributes.get("ce_type"):
        raise NotAnEvent(f"header says {attributes.get('ce_type')}, value says {envelope.event.type}")
    return envelope


def _data_version(attributes: Mapping[str, str]) -> int:
    told = attributes.get("ce_dataversion", "")
    if not (told.isascii() and told.isdigit() and int(told) > 0):
        raise NotAnEvent("the header 'ce_dataversion' is no version of a type")
    return int(told)
