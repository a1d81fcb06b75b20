"""A deploy request's environment, sealed for runtime-notifier: only names and marks stand in the open."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

from pac.contracts.base import SealedEnvironment
from pac.packages.leftovers import Leftovers
from pac.servicekit.objects import Objects
from pac.servicekit.sealing import environment_context, key_id, seal


def sealed_key(deployment_id: UUID) -> str:
    return f"sealed/{deployment_id}"


@dataclass(frozen=True)
class Sealer:
    """`fingerprint_key` stays outside of every log: without it a fingerprint cannot be tried against guesses."""

    public_key: bytes
    fingerprint_key: SecretStr

    def seal(self, environment: Mapping[str, str], deployment_id: UUID) -> bytes:
        plaintext = json.dumps(dict(environment), ensure_ascii=False, sort_keys=True).encode()
        return seal(self.public_key, plaintext, environment_context(deployment_id))

    def described(self, environment: Mapping[str, str], deployment_id: UUID, app_id: UUID) -> SealedEnvironment:
        return SealedEnvironment(
            object_key=sealed_key(deployment_id),
            key_id=key_id(self.public_key),
            names=tuple(sorted(environment)),
            fingerprints={name: self._fingerprint(app_id, name, value) for name, value in environment.items()},
        )

    def _fingerprint(self, app_id: UUID, name: str, value: str) -> str:
        """Equal for equal values of one name in one app; says nothing across names or apps."""
        key = base64.b64decode(self.fingerprint_key.get_secret_value())
        return hmac.new(key, b"\0".join([app_id.bytes, name.encode(), value.encode()]), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True)
class Seals:
    """Sealed before it is stored: what it says stays in this process's memory only as long as the request."""

    sealer: Sealer
    objects: Objects
    leftovers: Leftovers

    async def keep(self, environment: Mapping[str, str], deployment_id: UUID, app_id: UUID) -> SealedEnvironment | None:
        """Stored under a note, which whoever refers to it takes off."""
        if not environment:
            return None
        key = sealed_key(deployment_id)
        await self.leftovers.note(key)
        await self.objects.put_bytes(key, self.sealer.seal(environment, deployment_id))
        return self.sealer.described(environment, deployment_id, app_id)

    async def drop(self, sealed: SealedEnvironment | None) -> None:
        if sealed is not None:
            await self.leftovers.remove(sealed.object_key)
