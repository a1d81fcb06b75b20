"""A service's own key for proofs: Ed25519, from a seed that never leaves the service."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pac.servicekit.proof.form import key_id, signed_bytes


@dataclass(frozen=True)
class ProofSigner:
    seed: bytes = field(repr=False)

    @classmethod
    def from_base64(cls, seed: str) -> "ProofSigner":
        return cls(base64.b64decode(seed, validate=True))

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def signed(self, statement: Mapping[str, Any]) -> dict[str, Any]:
        """The statement with the signature and the key that checks it."""
        return {
            "statement": dict(statement),
            "key": {"id": key_id(self.public_key), "public_key": self.public_key.hex()},
            "signature": self._key.sign(signed_bytes(statement)).hex(),
        }


def is_signed(statement: Mapping[str, Any], signature: str, public_key: str) -> bool:
    """False for anything that is not this key's signature of this statement, also for what is no key at all."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature), signed_bytes(statement))
    except (InvalidSignature, ValueError):
        return False
    return True
