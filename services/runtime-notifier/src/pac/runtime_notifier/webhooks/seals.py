"""The secrets that deliveries are signed with: made here, kept sealed, opened only to sign.

Sealed form: one byte for the format (1), eight bytes of key id, a nonce of twelve, AES-256-GCM. The endpoint and the
secret's number are bound in, so that a row moved to another endpoint does not open.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pac.runtime_notifier.secrets.envelope import KeyRing

FORMAT = b"\x01"
KEY_ID_BYTES, NONCE_BYTES, SECRET_BYTES = 8, 12, 32
PREFIX = "whsec_"


class CannotUnseal(ValueError):  # noqa: N818 - says what happened, and nothing about the content
    """Sealed with a key that is not here, for another endpoint, or damaged."""


def new_secret() -> str:
    """As Standard Webhooks writes one: 24 to 64 random bytes, in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


@dataclass(frozen=True)
class Seals:
    """The first key seals, all of them open. They are derived, so that a key is never used for two things."""

    keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of_ring(cls, ring: KeyRing) -> "Seals":
        """The key-encryption key seals; those of before still open what they sealed."""
        before = (key for key_id, key in ring.keys.items() if key_id != ring.writing)
        return cls.of(ring.keys[ring.writing], *before)

    @classmethod
    def of(cls, *master_keys: bytes) -> "Seals":
        return cls(tuple(hmac.digest(one, b"pac webhook secrets", hashlib.sha256) for one in master_keys))

    @property
    def mark(self) -> bytes:
        """What everything that is sealed now begins with."""
        return FORMAT + _id(self.keys[0])

    def seal(self, webhook_id: UUID, number: int, secret: str) -> bytes:
        key, nonce = self.keys[0], secrets.token_bytes(NONCE_BYTES)
        return self.mark + nonce + AESGCM(key).encrypt(nonce, secret.encode(), _bound(webhook_id, number))

    def opened(self, webhook_id: UUID, number: int, sealed: bytes) -> str:
        """Raises CannotUnseal."""
        key_id, rest = sealed[1 : 1 + KEY_ID_BYTES], sealed[1 + KEY_ID_BYTES :]
        key = next((one for one in self.keys if _id(one) == key_id), None)
        if not sealed.startswith(FORMAT) or key is None:
            raise CannotUnseal("sealed with a key that is not here")
        try:
            return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], _bound(webhook_id, number)).decode()
        except (InvalidTag, ValueError):
            raise CannotUnseal("damaged, or sealed for another endpoint") from None


def _id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:KEY_ID_BYTES]


def _bound(webhook_id: UUID, number: int) -> bytes:
    return f"webhook|{webhook_id}|{number}".encode()
