"""What every shared type is built from: immutable, exact about time, tolerant of fields added later."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

LINE_MAX_CHARACTERS = 1000
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def one_line(text: str) -> str:
    """Text that may have come from anywhere, as one bounded line that Postgres, JSON and a terminal can all hold."""
    line = _UNPRINTABLE.sub(" ", text).strip()
    return line if len(line) <= LINE_MAX_CHARACTERS else line[: LINE_MAX_CHARACTERS - 1] + "…"


def utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with a Z; fractions only where there are any."""
    return utc(moment).isoformat().replace("+00:00", "Z")


Line = Annotated[str, AfterValidator(one_line)]
Moment = Annotated[
    AwareDatetime,
    AfterValidator(utc),
    PlainSerializer(iso, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Step(StrEnum):
    """The five steps of a deployment, in order; the names are the specification's."""

    VALIDATE_PACKAGE = "validate_package"
    UPLOAD_TO_S3 = "upload_to_s3"
    GENERATE_METADATA = "generate_metadata"
    NOTIFY_RUNTIME = "notify_runtime"
    FINALIZE = "finalize"


class Source(StrEnum):
    """Where the bytes of a submission come from."""

    UPLOAD = "upload"
    STORED = "stored"
    RETRY = "retry"
    ROLLBACK = "rollback"


class Outcome(StrEnum):
    """How a deployment ended; the specification's status `failed` covers the last three."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Shared(BaseModel):
    """A value inside an event: readers ignore what they do not know yet."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Shared):
    """A published fact. Its class name is its type on the wire and in the table."""

    data_version: ClassVar[int] = 1
    type: str
    account_id: UUID
    at: Moment


class SealedEnvironment(Shared):
    """A deploy request's environment: values sealed in an object, only names and keyed fingerprints in the open."""

    object_key: str
    key_id: str
    names: tuple[str, ...]
    fingerprints: dict[str, str]
