"""Keys that `pac up` makes for its services, and the public halves that follow from private ones."""

import base64
import binascii
import secrets

from pac.cli.local.errors import Expected

KEY_BYTES = 32


def new_key() -> str:
    """Base64 of 32 random bytes: a valid Ed25519 seed, X25519 private key, AES key and HMAC key alike."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _raw(name: str, text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise Expected(
            f"{name} is not usable",
            f"it must be base64 of {KEY_BYTES} bytes",
            f"unset {name}, or: openssl rand -base64 32",
        )
    return raw


def identity_public_key(name: str, private: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 (slow to import)

    key = Ed25519PrivateKey.from_private_bytes(_raw(name, private))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sealing_public_key(name: str, private: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 (slow to import)

    key = X25519PrivateKey.from_private_bytes(_raw(name, private))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
