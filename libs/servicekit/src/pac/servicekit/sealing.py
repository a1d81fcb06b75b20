"""Seals bytes to the one service that may read them: HPKE (RFC 9180), X25519, HKDF-SHA256, AES-256-GCM.

Sealed form: one byte for the format (1), eight bytes of key id, then HPKE's encapsulated key and ciphertext.
The context (for an environment: `environment/<deployment id>`) is bound in, so that a sealed value cannot be
moved to another deployment. Keys are the raw 32 bytes of X25519.
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

FORMAT = b"\x01"
KEY_ID_BYTES = 8
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class CannotOpen(ValueError):  # noqa: N818 - says what happened, and nothing about the content
    """Sealed for another key or context, or damaged."""


def key_id(public_key: bytes) -> str:
    """A short name of the key, for events and logs: it tells keys apart and reveals nothing."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES].hex()


def public_key_of(private_key: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def environment_context(deployment_id: object) -> str:
    """The context under which packages seals a deploy request's environment and runtime-notifier opens it."""
    return f"environment/{deployment_id}"


def seal(public_key: bytes, plaintext: bytes, context: str) -> bytes:
    sealed = SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public_key), info=context.encode())
    return FORMAT + bytes.fromhex(key_id(public_key)) + sealed


def sealed_for(sealed: bytes) -> str:
    """The id of the key that can open it; CannotOpen for bytes of another format."""
    if not sealed.startswith(FORMAT) or len(sealed) <= 1 + KEY_ID_BYTES:
        raise CannotOpen("the bytes are not in the sealed format")
    return sealed[1 : 1 + KEY_ID_BYTES].hex()


def open_sealed(private_key: bytes, sealed: bytes, context: str) -> bytes:
    """The plaintext. Raises CannotOpen, which names the key ids at most."""
    wanted, have = sealed_for(sealed), key_id(public_key_of(private_key))
    if wanted != have:
        raise CannotOpen(f"sealed for key {wanted}, this key is {have}")
    try:
        opened = SUITE.decrypt(
            sealed[1 + KEY_ID_BYTES :], X25519PrivateKey.from_private_bytes(private_key), info=context.encode()
        )
    except (InvalidTag, ValueError):
        raise CannotOpen("damaged, or sealed in another context") from None
    return opened
