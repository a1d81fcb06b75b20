"""Reads a proof as strictly as it was written: every field known, none missing, not one byte in another place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pac.contracts.topics import ServiceName
from pac.servicekit.proof.form import FORM, stream_of, written

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
PROOF_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Fault:
    """What is wrong and where: the entry, and the first of its fields that is not as it was given out."""

    what: str
    stream: str | None = None
    version: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        entry = f"{self.stream} at version {self.version}" if self.version is not None else self.stream
        place = ", ".join(part for part in (entry, self.field) if part)
        return f"{place}: {self.what}" if place else self.what


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Event(_Strict):
    version: int
    type: str
    at: str
    data: dict[str, Any]
    metadata: dict[str, Any]
    canonical: str
    hash: Hex32


class _Entry(_Strict):
    id: str
    at: str
    kind: Literal["reserve", "capture", "release"]
    amount: int
    balance: int
    legs: dict[str, int]


class _Statement(_Strict):
    account_id: str
    deployment_id: str
    service: Literal["packages", "deployments", "billing", "runtime-notifier"]
    stream: str
    version: Annotated[int, Field(ge=0)]
    hash: Hex32
    signed_at: str
    ledger: list[_Entry] | None = None


class _Key(_Strict):
    id: str
    public_key: Hex32


class _Part(_Strict):
    statement: _Statement
    key: _Key
    signature: Hex64
    events: list[_Event]


class _Proof(_Strict):
    form: Literal["pac-proof-1"]
    deployment_id: str
    parts: list[_Part]
    missing: list[Literal["packages", "deployments", "runtime-notifier"]]


def read(content: bytes) -> dict[str, Any] | Fault:
    """The proof, or why it is none."""
    if len(content) > PROOF_MAX_BYTES:
        return Fault(f"has more than {PROOF_MAX_BYTES} bytes")
    content = content.removesuffix(b"\n")
    try:
        proof = orjson.loads(content)
    except orjson.JSONDecodeError as fault:
        return Fault(f"is not JSON: {fault}")
    try:
        _Proof.model_validate(proof)
    except ValidationError as invalid:
        error = invalid.errors(include_input=False, include_url=False, include_context=False)[0]
        return _misplaced(proof, error["loc"], str(error["msg"]))
    if (expected := written(proof)) != content:
        at = next(
            (n for n, pair in enumerate(zip(expected, content, strict=False)) if pair[0] != pair[1]), len(content)
        )
        return Fault(f"is not written as it was given out, from byte {at} on")
    assert isinstance(proof, dict)
    return proof


def _misplaced(proof: Any, place: Sequence[int | str], what: str) -> Fault:
    """A fault of form, with the name of the entry as far as it can be told."""
    field = ".".join(str(part) for part in place)
    match place:
        case ("form", *_):
            return Fault(f"must be {FORM}", field=field)
        case ("parts", int(part), "events", int(number), *rest):
            stream = _stream_of(proof, part)
            return Fault(what, stream, number + 1, ".".join(str(one) for one in rest) or None)
        case ("parts", int(part), *rest):
            return Fault(what, _stream_of(proof, part), field=".".join(str(one) for one in rest) or None)
        case _:
            return Fault(what, field=field or None)


def _stream_of(proof: Mapping[str, Any], part: int) -> str:
    try:
        statement = proof["parts"][part]["statement"]
        return stream_of(ServiceName(statement["service"]), statement["deployment_id"])
    except (KeyError, TypeError, ValueError):
        return f"part {part + 1}"


def difference(shown: Any, recorded: Any, path: str = "") -> str | None:
    """The path of the first field in which two values differ; None if they do not."""
    if isinstance(shown, dict) and isinstance(recorded, dict):
        for name in sorted(shown.keys() | recorded.keys()):
            below = f"{path}.{name}" if path else name
            if name not in shown or name not in recorded:
                return below
            if (found := difference(shown[name], recorded[name], below)) is not None:
                return found
        return None
    if isinstance(shown, list) and isinstance(recorded, list) and len(shown) == len(recorded):
        pairs = enumerate(zip(shown, recorded, strict=True))
        return next((found for n, (a, b) in pairs if (found := difference(a, b, f"{path}.{n}")) is not None), None)
    return None if type(shown) is type(recorded) and shown == recorded else path
