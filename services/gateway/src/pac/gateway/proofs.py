"""Puts the services' signed parts together to a proof. What cannot be reached is left out and named, never guessed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Upstreams
from pac.servicekit.proof.form import CATEGORIES, FORM, KEYS_PATH, PATH, written
from pac.servicekit.requests import uuid_in

OK, NOT_FOUND = 200, 404
ANSWER_SECONDS: Final = 5.0
PART_MAX_BYTES: Final = 16 * 1_048_576
KEYS_SECONDS: Final = 10.0  # the path of the keys is public: one question to the services for all who ask meanwhile
Part = dict[str, Any]


@dataclass
class Proofs:
    upstreams: Upstreams
    _keys: Mapping[str, Any] | None = field(default=None, init=False)
    _keys_at: float = field(default=0.0, init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def get(self, request: web.Request, caller: Caller) -> web.Response:
        """503 without billing's part. The hub is asked first: what it calls ended, the others have settled before."""
        deployment_id = str(uuid_in(request, "deployment_id"))
        path = PATH.format(deployment_id=deployment_id)
        hub = await self._part(request, caller, ServiceName.DEPLOYMENTS, path)
        others = [service for service in CATEGORIES if service is not ServiceName.DEPLOYMENTS]
        found = await asyncio.gather(*(self._part(request, caller, service, path) for service in others))
        parts: dict[ServiceName, Part | None] = {ServiceName.DEPLOYMENTS: hub}
        parts.update(zip(others, found, strict=True))
        _refuse(parts)
        proof = {
            "form": FORM,
            "deployment_id": deployment_id,
            "parts": [part for service in CATEGORIES if (part := parts[service]) is not None],
            "missing": [service.value for service in CATEGORIES if parts[service] is None],
        }
        return web.Response(
            body=written(proof), content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"}
        )

    async def keys(self, request: web.Request, caller: Caller) -> Mapping[str, Any]:
        """The public keys of all services; the answer is what `pac verify --keys` takes."""
        async with self._lock:
            if self._keys is None or time.monotonic() - self._keys_at > KEYS_SECONDS:
                self._keys, self._keys_at = await self._asked(request, caller), time.monotonic()
            return self._keys

    async def _asked(self, request: web.Request, caller: Caller) -> Mapping[str, Any]:
        answers = await asyncio.gather(*(self._read(request, caller, service, KEYS_PATH) for service in CATEGORIES))
        keys: list[Any] = []
        missing: list[str] = []
        for service, answer in zip(CATEGORIES, answers, strict=True):
            if answer is None or not answer["keys"]:
                missing.append(service.value)
            else:
                keys += answer["keys"]
        return {"keys": keys, "missing": missing}

    async def _part(self, request: web.Request, caller: Caller, service: ServiceName, path: str) -> Part | None:
        """None where the service cannot be reached, or cannot sign. Refused (404) for another account's deployment."""
        return await self._read(request, caller, service, path, is_part=True)

    async def _read(
        self, request: web.Request, caller: Caller, service: ServiceName, path: str, *, is_part: bool = False
    ) -> Part | None:
        try:
            answer = await self.upstreams.fetch(
                request, service, path, caller, timeout_seconds=ANSWER_SECONDS, max_bytes=PART_MAX_BYTES
            )
        except OSError:
            return None
        if answer.status == NOT_FOUND and is_part:
            raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
        if answer.status != OK:
            return None
        return _shaped(answer.body, "events" if is_part else "keys")


def _shaped(body: bytes, expected: str) -> Part | None:
    """What is not of the shape is as good as no answer: somebody else listens there, or another release."""
    try:
        part = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return part if isinstance(part, dict) and isinstance(part.get(expected), list) else None


def _refuse(parts: Mapping[ServiceName, Part | None]) -> None:
    known: Sequence[Part] = [part for part in parts.values() if part is not None]
    if len(known) == len(parts) and not any(part["events"] for part in known):
        raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
    hold = parts[ServiceName.BILLING]
    if hold is None:
        raise Refused(ErrorCode.UNAVAILABLE, "Billing cannot be asked at the moment", retry_after_seconds=1)
    if not hold["events"]:
        raise Refused(ErrorCode.UNAVAILABLE, "Credits of this deployment are not decided yet", retry_after_seconds=1)
