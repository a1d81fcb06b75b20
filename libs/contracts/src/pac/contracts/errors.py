"""Every error the API can answer: one code, one status, one sentence, one hint. Nothing else decides a status."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class ErrorKind:
    """`always` and `sometimes`: the fields that stand in its body beside the four of every error (error_bodies.py)."""

    status: int
    sentence: str
    hint: str | None = None
    always: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


class ErrorCode(StrEnum):
    INVALID_REQUEST = "invalid_request"
    INVALID_PACKAGE = "invalid_package"
    VERSION_EXISTS = "version_exists"
    UNAUTHENTICATED = "unauthenticated"
    INSUFFICIENT_CREDITS = "insufficient_credits"
    FORBIDDEN = "forbidden"
    FOREIGN_ORIGIN = "foreign_origin"
    ACCOUNT_SUSPENDED = "account_suspended"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_SLOW = "too_slow"
    CONFLICT = "conflict"
    PACKAGE_IN_USE = "package_in_use"
    PACKAGE_NOT_STORED = "package_not_stored"
    DEPLOYMENT_OPEN = "deployment_open"
    NOT_YET_QUEUED = "not_yet_queued"
    TOO_LATE = "too_late"
    ALREADY_FINISHED = "already_finished"
    VERSION_TAKEN = "version_taken"
    NOT_RETRIABLE = "not_retriable"
    BYTES_GONE = "bytes_gone"
    NO_RELEASE = "no_release"
    NO_LOGS = "no_logs"
    APP_IN_USE = "app_in_use"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    THROTTLED = "throttled"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


ERRORS: dict[ErrorCode, ErrorKind] = {
    ErrorCode.INVALID_REQUEST: ErrorKind(
        400, "The request is not valid", "See `details` for each field.", ("details",), ("problems", "existing")
    ),
    ErrorCode.INVALID_PACKAGE: ErrorKind(
        400,
        "Package validation failed",
        "See `problems`; `pac check FILE` finds the same ones before an upload.",
        ("details", "problems"),
        ("existing",),
    ),
    ErrorCode.VERSION_EXISTS: ErrorKind(
        400,
        "Package validation failed",
        "Raise the version, or deploy with force_overwrite=true (pixell: --force).",
        ("details", "problems"),
        ("existing",),
    ),
    ErrorCode.UNAUTHENTICATED: ErrorKind(
        401,
        "Invalid API key or session",
        "Send `Authorization: Bearer pac_…` with a live key, or a live session.",
    ),
    ErrorCode.INSUFFICIENT_CREDITS: ErrorKind(
        402,
        "Insufficient credits",
        "Ask the operator for a grant of credits.",
        ("required", "available"),
        ("deployment_id",),
    ),
    ErrorCode.FORBIDDEN: ErrorKind(
        403, "Not allowed with this key", "Use a key that has the scope named in `scope`.", sometimes=("scope",)
    ),
    ErrorCode.FOREIGN_ORIGIN: ErrorKind(
        403,
        "Writing with a session cookie from another site is refused",
        "Write from the operator's own page, or with an API key.",
    ),
    ErrorCode.ACCOUNT_SUSPENDED: ErrorKind(
        403, "This account is suspended: it can be read, but nothing of it changed", "Ask the operator."
    ),
    ErrorCode.NOT_FOUND: ErrorKind(404, "Not found", "Check the id; what belongs to another account is not shown."),
    ErrorCode.METHOD_NOT_ALLOWED: ErrorKind(405, "Method not allowed", "See the header Allow."),
    ErrorCode.TOO_SLOW: ErrorKind(408, "The upload was too slow", "Try again on a faster connection."),
    ErrorCode.CONFLICT: ErrorKind(
        409,
        "Something else changed this at the same moment",
        "Read it again and repeat.",
        sometimes=("available",),
    ),
    ErrorCode.PACKAGE_IN_USE: ErrorKind(409, "Package is in use", "See `used_by`.", ("used_by",)),
    ErrorCode.PACKAGE_NOT_STORED: ErrorKind(
        409, "Package is not stored", "Retry its deployment, or upload it again.", ("package_status",)
    ),
    ErrorCode.DEPLOYMENT_OPEN: ErrorKind(
        409, "A deployment of this is still open", "Repeat when it has ended.", ("used_by",)
    ),
    ErrorCode.NOT_YET_QUEUED: ErrorKind(409, "Deployment is not queued yet", "Repeat in a moment."),
    ErrorCode.TOO_LATE: ErrorKind(409, "Deployment can no longer be cancelled", "It is being completed."),
    ErrorCode.ALREADY_FINISHED: ErrorKind(409, "Deployment has already finished", "Its status says how."),
    ErrorCode.VERSION_TAKEN: ErrorKind(409, "Version is taken by another package", "Deploy under a new version."),
    ErrorCode.NOT_RETRIABLE: ErrorKind(409, "Deployment cannot be retried", "Build a corrected package and deploy it."),
    ErrorCode.BYTES_GONE: ErrorKind(409, "The package's bytes are no longer kept", "Upload the package again."),
    ErrorCode.NO_RELEASE: ErrorKind(
        409, "There is no release to go back to", "Name a deployment that has completed as `to`, or deploy a package."
    ),
    ErrorCode.NO_LOGS: ErrorKind(
        409,
        "There is no output of this deployment",
        "It is there once the deployment has reached a runtime, where that gives any and still keeps it.",
    ),
    ErrorCode.APP_IN_USE: ErrorKind(
        409,
        "Agent app is in use",
        "See `used_by`; let its deployments end, or repeat with ?force=true: what is open ends, what runs is stopped.",
        ("used_by",),
    ),
    ErrorCode.TOO_LARGE: ErrorKind(
        413, "Package too large", "Send less; `max_size_bytes` is the limit.", sometimes=("max_size_bytes",)
    ),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: ErrorKind(
        415, "Unsupported media type", "JSON goes as application/json, a package as multipart/form-data; uncompressed."
    ),
    ErrorCode.IDEMPOTENCY_MISMATCH: ErrorKind(
        422, "Idempotency-Key was used with another request", "Take a new key for a new request."
    ),
    ErrorCode.THROTTLED: ErrorKind(429, "Too many requests", "Wait as long as Retry-After says."),
    ErrorCode.HEADERS_TOO_LARGE: ErrorKind(431, "Request headers are too large", "Send fewer or smaller cookies."),
    ErrorCode.INTERNAL: ErrorKind(500, "Something went wrong on our side", "Tell the operator the `request_id`."),
    ErrorCode.UNAVAILABLE: ErrorKind(503, "Not available at the moment", "Repeat after the time in Retry-After."),
}


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an accident
    """A wish that cannot be granted. `fields` go into the error body as they are: never a secret in them."""

    def __init__(
        self, code: ErrorCode, sentence: str | None = None, *, retry_after_seconds: int | None = None, **fields: Any
    ) -> None:
        super().__init__(sentence or ERRORS[code].sentence)
        self.code = code
        self.sentence = sentence or ERRORS[code].sentence
        self.retry_after_seconds = retry_after_seconds
        self.fields = fields
