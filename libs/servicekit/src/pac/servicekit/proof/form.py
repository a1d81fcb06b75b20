"""The form of a proof, and the one way to write it: JSON with sorted keys and no spaces, so that every byte counts.

A proof has a part for each service that has a stream of the deployment. A part holds the stream's events, as recorded,
and a statement about them (the stream's head, for billing the ledger as well) that the service has signed.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from pac.contracts.topics import ServiceName

FORM: Final = "pac-proof-1"
PATH: Final = "/internal/proofs/{deployment_id}"
KEYS_PATH: Final = "/internal/proof-keys"
PUBLIC_KEYS_PATH: Final = "/.well-known/pac-proof-keys"
ALGORITHM: Final = "Ed25519"
KEY_ID_CHARACTERS: Final = 24
GENESIS: Final = bytes(32).hex()

# In the order of the parts: who says what about a deployment.
CATEGORIES: Final[Mapping[ServiceName, str]] = {
    ServiceName.PACKAGES: "submission",
    ServiceName.DEPLOYMENTS: "deployment",
    ServiceName.BILLING: "hold",
    ServiceName.RUNTIME_NOTIFIER: "delivery",
}


def stream_of(service: ServiceName, deployment_id: object) -> str:
    return f"{CATEGORIES[service]}-{deployment_id}"


def written(value: Any) -> bytes:
    """Raises TypeError for what is no JSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def signed_bytes(statement: Mapping[str, Any]) -> bytes:
    """What a signature is of: nothing else that a key of ours signs begins like this."""
    return f"{FORM}\n".encode() + written(statement)


def key_id(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()[:KEY_ID_CHARACTERS]


def part_of(proof: Mapping[str, Any], service: ServiceName) -> dict[str, Any] | None:
    parts: list[dict[str, Any]] = proof["parts"]
    return next((part for part in parts if part["statement"]["service"] == service.value), None)
