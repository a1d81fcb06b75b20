"""Checks one part of a proof by itself: its events follow from each other, and its service has signed their head."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pac.contracts.topics import ServiceName
from pac.servicekit.proof.form import GENESIS, key_id, stream_of, written
from pac.servicekit.proof.reading import Fault, difference
from pac.servicekit.proof.signing import is_signed

Json = Mapping[str, Any]
RECORDED = ("version", "type", "at", "data", "metadata")


@dataclass(frozen=True)
class PinnedKeys:
    """The keys that are believed, by id: (service, public key). From `GET /.well-known/pac-proof-keys`, kept."""

    keys: Mapping[str, tuple[str, str]]

    @classmethod
    def read(cls, content: bytes) -> "PinnedKeys":
        """Raises ValueError for what is no such answer."""
        found: dict[str, tuple[str, str]] = {}
        try:
            for key in orjson.loads(content)["keys"]:
                if key_id(bytes.fromhex(key["public_key"])) != key["id"]:
                    raise ValueError(f"key {key['id']} is not the one of that id")
                found[key["id"]] = (key["service"], key["public_key"])
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError("it does not hold the keys of a PAC") from fault
        return cls(found)


def faults_of(part: Json, deployment_id: str, pinned: PinnedKeys | None) -> Iterator[Fault]:
    """What is wrong with a part; after the first fault of its events they are not looked at further."""
    statement, events = part["statement"], part["events"]
    service = ServiceName(statement["service"])
    stream = stream_of(service, deployment_id)
    for name, wanted in (("deployment_id", deployment_id), ("stream", stream)):
        if statement[name] != wanted:
            yield Fault(f"is {statement[name]}, not {wanted}", stream, field=f"statement.{name}")
    if ("ledger" in statement) is not (service is ServiceName.BILLING) or (
        "ledger" in statement and statement["ledger"] is None
    ):
        yield Fault("only billing has a ledger", stream, field="statement.ledger")
    yield from _chain(stream, statement, events)
    yield from _signature(stream, part, pinned)


def _chain(stream: str, statement: Json, events: list[Json]) -> Iterator[Fault]:
    before = GENESIS
    for expected, event in enumerate(events, start=1):
        if (fault := _event(stream, expected, event, bytes.fromhex(before))) is not None:
            yield fault
            return
        data = event["data"]
        for field, value in (
            ("type", event["type"]),
            ("account_id", statement["account_id"]),
            ("deployment_id", statement["deployment_id"]),
        ):
            if data.get(field) != value:
                yield Fault(f"is not {value}", stream, expected, f"data.{field}")
                return
        before = event["hash"]
    if statement["version"] != len(events):
        yield Fault(f"the head is signed at version {statement['version']}", stream, len(events), "statement.version")
    elif statement["hash"] != before:
        yield Fault("is not the hash of the last event", stream, len(events), "statement.hash")


def _event(stream: str, expected: int, event: Json, before: bytes) -> Fault | None:
    if event["version"] != expected:
        return Fault(f"is {event['version']}: events are left out, or in another order", stream, expected, "version")
    shown = {"stream": stream, **{name: event[name] for name in RECORDED}}
    text = event["canonical"].encode()
    if hashlib.sha256(before + text).hexdigest() == event["hash"]:
        if text == written(shown):
            return None
        field = difference(shown, _parsed(text)) or "canonical"
        return Fault("is not what was recorded", stream, expected, field)
    if hashlib.sha256(before + written(shown)).hexdigest() == event["hash"]:
        inside = difference(shown, _parsed(text))
        return Fault("is not what was recorded", stream, expected, f"canonical.{inside}" if inside else "canonical")
    if text == written(shown):
        return Fault("does not follow from the event and the hash before it", stream, expected, "hash")
    field = difference(shown, _parsed(text)) or "canonical"
    return Fault("is not what was recorded, and neither is the hash", stream, expected, field)


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _signature(stream: str, part: Json, pinned: PinnedKeys | None) -> Iterator[Fault]:
    statement, key = part["statement"], part["key"]
    if key_id(bytes.fromhex(key["public_key"])) != key["id"]:
        yield Fault("is not the id of the key beside it", stream, field="key.id")
    elif pinned is not None and pinned.keys.get(key["id"]) != (statement["service"], key["public_key"]):
        yield Fault(f"is no known key of {statement['service']}", stream, field="key.id")
    if not is_signed(statement, part["signature"], key["public_key"]):
        yield Fault("does not fit what is stated: one of both is not as it was given out", stream, field="signature")
