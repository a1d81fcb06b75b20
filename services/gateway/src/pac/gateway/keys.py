"""API keys: how one is made, told from a typo without asking anybody, and kept so that a stolen table opens nothing.

`pac_` + 32 random base62 characters (190 bits) + their CRC32 as 6 base62 characters, so a scanner may search for
`KEY_PATTERN` and be sure offline. Stored is HMAC-SHA256(pepper, key): the key has too much entropy for a slow hash
to add anything.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

PREFIX = "pac_"
RANDOM_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY_PATTERN = r"pac_[0-9A-Za-z]{38}"
_KEY = re.compile(KEY_PATTERN)


@dataclass(frozen=True)
class NewKey:
    """Shown once, at its creation; `str` and `repr` never show it."""

    text: str = field(repr=False)

    @property
    def last4(self) -> str:
        return self.text[-4:]


def new_key() -> NewKey:
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return NewKey(f"{PREFIX}{random}{_checksum(random)}")


def is_well_formed(text: str) -> bool:
    """Whether this can be a key at all: no single changed character passes, as a CRC32 sees every burst of 32 bits."""
    if _KEY.fullmatch(text) is None:
        return False
    random, checksum = text[len(PREFIX) : -CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    return hmac.compare_digest(_checksum(random), checksum)


@dataclass(frozen=True)
class Pepper:
    """The secret without which the table of hashes is of no use. Kept outside the database."""

    value: bytes = field(repr=False)

    def hash(self, key: str) -> bytes:
        return hmac.digest(self.value, key.encode(), hashlib.sha256)


def _checksum(random: str) -> str:
    number, digits = zlib.crc32(random.encode("ascii")), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
