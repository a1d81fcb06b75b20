"""Envelope encryption: a data key for each app, wrapped by a key-encryption key; each value bound to its place. Pure.

AES-256-GCM throughout, sealed form: 12 bytes of nonce, then the ciphertext with its tag. A value's associated data is
`app|name|version`, a data key's `app|id of the wrapping key`: what is moved elsewhere does not open.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
ID_BYTES = 8


class Unreadable(Exception):  # noqa: N818 - says what happened, which one, and nothing of what is in it
    """A stored secret or its key cannot be opened: damaged, moved, or wrapped by a key that is not at hand."""


@dataclass(frozen=True)
class Place:
    """Where a value belongs; `version` is that of the app's secrets at which it was set."""

    app_id: UUID
    name: str
    version: int

    @property
    def bound(self) -> bytes:
        return f"{self.app_id}|{self.name}|{self.version}".encode()

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"


@dataclass(frozen=True)
class DataKey:
    """Of one app; only ever kept wrapped."""

    raw: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        return cls(secrets.token_bytes(KEY_BYTES))

    def seal(self, place: Place, value: SecretStr) -> bytes:
        return _sealed(self.raw, value.get_secret_value().encode(), place.bound)

    def open(self, place: Place, sealed: bytes) -> SecretStr:
        """Raises Unreadable, which names the place."""
        try:
            return SecretStr(_opened(self.raw, sealed, place.bound).decode())
        except (InvalidTag, ValueError):
            raise Unreadable(f"the stored secret {place} is damaged, or is not where it was put") from None


@dataclass(frozen=True)
class Wrapped:
    """A data key as it is kept."""

    app_id: UUID
    kek_id: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True)
class KeyRing:
    """The key-encryption keys by id: all of them open, the one named `writing` wraps."""

    writing: str
    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def from_base64(cls, current: str, retired: str = "") -> Self:
        """`retired`: those that wrapped before, separated by commas. ValueError for what is no key of 32 bytes."""
        newest, *before = [_key(text) for text in f"{current},{retired}".split(",") if text.strip()]
        return cls(kek_id(newest), {kek_id(key): key for key in (newest, *before)})

    def wrap(self, app_id: UUID, key: DataKey) -> Wrapped:
        bound = _bound(app_id, self.writing)
        return Wrapped(app_id, self.writing, _sealed(self.keys[self.writing], key.raw, bound))

    def unwrap(self, wrapped: Wrapped) -> DataKey:
        """Raises Unreadable, which names the app and the id of the wrapping key."""
        if (kek := self.keys.get(wrapped.kek_id)) is None:
            raise Unreadable(
                f"the secrets of app {wrapped.app_id} are wrapped by the key {wrapped.kek_id}, which is not set"
            )
        try:
            return DataKey(_opened(kek, wrapped.sealed, _bound(wrapped.app_id, wrapped.kek_id)))
        except (InvalidTag, ValueError):
            raise Unreadable(f"the data key of app {wrapped.app_id} is damaged, or is another app's") from None


def kek_id(key: bytes) -> str:
    """A short name, for rows and logs: it tells keys apart and reveals nothing."""
    return hashlib.sha256(b"pac key-encryption key\0" + key).digest()[:ID_BYTES].hex()


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be base64 of exactly {KEY_BYTES} bytes")
    return key


def _bound(app_id: UUID, wrapped_by: str) -> bytes:
    return f"{app_id}|{wrapped_by}".encode()


def _sealed(key: bytes, plaintext: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, bound)


def _opened(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
