"""What is too much: requests of one caller, refusals of one address, uploads of one account at once. 429 `throttled`.

Told in the fields of draft-ietf-httpapi-ratelimit-headers (10): `RateLimit-Policy: "caller";q=1000;w=2` is how much in
how many seconds, `RateLimit: "caller";r=998;t=1` what is left of it and when it is whole again.
"""

import asyncio
import ipaddress
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.gateway.throttle import Taken, Throttle
from pac.servicekit.requests import ANSWER_HEADERS

FORWARDED_FOR = "X-Forwarded-For"
_NETWORK_OF_ONE = 64  # bits; who has one address of IPv6 has all of these


@dataclass(frozen=True)
class Policy:
    name: str
    throttle: Throttle

    def take(self, request: web.Request, caller: str, *, patience_seconds: float = 0.0) -> float:
        """How long to wait before going on, at most `patience_seconds`. Refused as throttled if that is not enough."""
        taken = self.throttle.take(caller, patience_seconds=patience_seconds)
        request[ANSWER_HEADERS] = self._told(taken)
        if taken.wait_seconds > patience_seconds:
            raise Refused(ErrorCode.THROTTLED, retry_after_seconds=math.ceil(taken.wait_seconds))
        return taken.wait_seconds

    def _told(self, taken: Taken) -> dict[str, str]:
        window_seconds = math.ceil(self.throttle.burst / self.throttle.per_second)
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.throttle.burst};w={window_seconds}',
            "RateLimit": f'"{self.name}";r={taken.remaining};t={math.ceil(taken.full_seconds)}',
        }


@dataclass
class CallLimits:
    """`proxies`: so many of our own stand before us and say in X-Forwarded-For who asked; nobody else is believed."""

    callers: Policy
    failures: Policy
    public: Policy
    uploads_of_account: int
    proxies: int = 0
    _uploads: Counter[UUID | None] = field(default_factory=Counter)

    async def called(self, request: web.Request, actor: str, *, patience_seconds: float = 0.0) -> None:
        """A poll that must not fail waits its turn instead."""
        if wait_seconds := self.callers.take(request, actor, patience_seconds=patience_seconds):
            await asyncio.sleep(wait_seconds)

    def refused(self, request: web.Request) -> None:
        """One more refusal (401) of this address. Credentials that are good are never held up by others' bad ones."""
        self.failures.take(request, self._address(request))

    def asked_by_anyone(self, request: web.Request) -> None:
        self.public.take(request, self._address(request))

    @contextmanager
    def upload(self, account_id: UUID | None) -> Iterator[None]:
        """Refused as throttled while too many of the account are on their way."""
        if self._uploads[account_id] >= self.uploads_of_account:
            sentence = f"Too many uploads at once: {self.uploads_of_account} of this account are on their way"
            raise Refused(ErrorCode.THROTTLED, sentence, retry_after_seconds=1)
        self._uploads[account_id] += 1
        try:
            yield
        finally:
            self._uploads[account_id] -= 1
            if not self._uploads[account_id]:
                del self._uploads[account_id]

    def _address(self, request: web.Request) -> str:
        forwarded = ",".join(request.headers.getall(FORWARDED_FOR, ())).split(",")
        text = forwarded[-self.proxies].strip() if 0 < self.proxies <= len(forwarded) else request.remote or ""
        return network_of(text)


def network_of(address: str) -> str:
    """What stands for one caller: the address, or in IPv6 the network that is given to one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _NETWORK_OF_ONE), strict=False))
    return address
