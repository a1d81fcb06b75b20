"""Realistic values for the fields of events, by name; where one type needs another value, by type and name."""

from collections.abc import Mapping
from typing import Any, Final

from pac.contracts.breaks import Schema, resolved

ACCOUNT: Final = "5b0f1c52-7f1e-4f6f-9d0e-6a1f4c3b2a10"
DEPLOYMENT: Final = "0d4e9a3b-6f28-4c71-8b5a-e7f1c2d3a415"
SHA256: Final = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
BY_NAME: Final[Mapping[str, Any]] = {
    # who and what
    "account_id": ACCOUNT,
    "agent_app_id": "c6a3c8f4-20cf-4a2b-8e35-9c1d7a54e011",
    "api_key_id": "8e8f2f9b-14c7-4d6e-b1d3-52a9f0c7e312",
    "attempt_id": "e1b7a6d0-3c95-4f1b-a4d8-0f6b2c8d9e13",
    "by_package_id": "31c9d5e7-8a64-4b0f-92f7-d4e6a1b3c814",
    "deployment_id": DEPLOYMENT,
    "grant_id": "f7a2b4c6-d8e0-4f13-a5b7-c9d1e3f50516",
    "package_id": "b2d4f6a8-1c3e-4f50-9274-96b8dafc1e17",
    "user_id": "3a7d5b1f-9c2e-4e80-8d46-51f7b3a9c201",
    "retry_of": "9f1e3d5c-7b9a-4082-b4d6-f8a0c2e41618",
    "webhook_id": "4c6e8a0b-2d4f-4163-8597-b9dbfd1f3519",
    # when
    "at": "2026-11-23T12:00:00.250000Z",
    "due_at": "2026-11-23T12:05:00.250000Z",
    "expires_at": "2027-11-23T12:00:00Z",
    "next_at": "2026-11-23T12:00:05.250000Z",
    "since": "2026-11-23T11:59:55.250000Z",
    # packages and their environment
    "billable": True,
    "fingerprints": {"API_TOKEN": "9c56cc51b374c3ba189210d5b6d4bf57"},
    "force_overwrite": True,
    "freed": True,
    "key_id": "2026-11",
    "names": ["API_TOKEN"],
    "object_key": f"packages/{ACCOUNT}/{SHA256}",
    "package_version": "1.4.0",
    "sha256": SHA256,
    "signed_by": "52c45059f0c72e1d0b8bc9d3975a926039cce80c",
    "signing_key": "0f2b7d9e41a35c8860de9b7712f4c3a85d6e1f90",
    "size_bytes": 2_048_000,
    "source": "upload",
    # faults
    "code": "runtime_failed",
    "entry": "src/agent.py",
    "error": "Runtime answered 500: agent did not start",
    "error_details": ["agent did not start"],
    "hint": "Name the module in `entrypoint` as `module:function`.",
    "message": "entrypoint names a module that is not in the package",
    "reason": "Runtime answered 500: agent did not start",
    "retriable": True,
    # deployments
    "attempt": 2,
    "current": True,
    "done": ["validate_package", "upload_to_s3"],
    "no": 14,
    "outcome": "failed",
    "part": "credits",
    "release": 12,
    "repeated": 1,
    "step": "notify_runtime",
    # credits, keys, policies, secrets
    "amount": 5,
    "available": 3,
    "deploy_policy": "on_secrets",
    "kind": "operator",
    "redeploys": True,
    "required": 5,
    "role": "member",
    "runtime": "europe",
    "scopes": ["deploy", "read"],
    "secrets_version": 4,
    "signature_policy": "required",
}
BY_TYPE: Final[Mapping[tuple[str, str], Any]] = {
    ("DeploymentCancelled", "code"): "cancelled",
    ("DeploymentCancelled", "error"): "Deployment was cancelled",
    ("DeploymentQueued", "object_key"): f"staging/{DEPLOYMENT}",
    ("DeploymentRejected", "code"): "insufficient_credits",
    ("DeploymentRejected", "error"): "Insufficient credits",
    ("DeploymentStarted", "pinned"): True,
    ("PackageSubmitted", "object_key"): f"staging/{DEPLOYMENT}",
    ("Problem", "code"): "entrypoint_missing",
    ("SealedEnvironment", "object_key"): f"sealed/{DEPLOYMENT}",
    ("SigningKeysChanged", "fingerprints"): ["52c45059f0c72e1d0b8bc9d3975a926039cce80c"],
    ("WebhookDisabled", "reason"): "No delivery has succeeded for 5 days",
}


class NoExample(LookupError):  # noqa: N818 - says what is missing
    """A field without a line here."""


def example(schema: Schema, document: Schema) -> dict[str, Any]:
    """An object with every field set. Raises NoExample."""
    plain = resolved(schema, document)
    return {name: _value(plain["title"], name, field, document) for name, field in plain["properties"].items()}


def fields(schema: Schema, document: Schema) -> set[str]:
    """The name of every field, also of those within fields: `problems.code`."""
    found = set()
    for name, field in resolved(schema, document).get("properties", {}).items():
        found.add(name)
        inner = _object(field, document)
        found |= {f"{name}.{each}" for each in fields(inner, document)} if inner else set()
    return found


def fields_set(value: Any) -> set[str]:
    """The same of a value: the fields that are there and neither null nor empty."""
    match value:
        case Mapping():
            there = {name: inner for name, inner in value.items() if inner is not None and inner not in ({}, [])}
            return set(there) | {f"{name}.{each}" for name, inner in there.items() for each in fields_set(inner)}
        case list():
            return {each for inner in value for each in fields_set(inner)}
        case _:
            return set()


def _value(kind: str, name: str, field: Schema, document: Schema) -> Any:
    if "const" in resolved(field, document):
        return resolved(field, document)["const"]
    if (inner := _object(field, document)) is not None:
        one = example(inner, document)
        return [one] if resolved(field, document).get("type") == "array" else one
    try:
        return BY_TYPE[kind, name] if (kind, name) in BY_TYPE else BY_NAME[name]
    except KeyError:
        raise NoExample(f"{kind}.{name} needs an example in {__name__}") from None


def _object(field: Schema, document: Schema) -> Schema | None:
    """The object that a field is, may be, or is a list of; an object of any names is none."""
    plain = resolved(field, document)
    for each in (plain, *plain.get("anyOf", ()), plain.get("items", {})):
        inner = resolved(each, document)
        if "properties" in inner:
            return inner
    return None
