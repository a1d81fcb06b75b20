"""One service in the test's own process, on free ports, and a client that speaks to it as the gateway does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

from aiohttp import ClientSession

from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER, AppClaim, Caller, Scope
from pac.contracts.topics import ServiceName
from pac.servicekit.identity import IdentitySigner
from pac.servicekit.run import Running
from pac.servicekit.service import Service
from pac.servicekit.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
SIGNER = IdentitySigner(bytes(range(32)))


def service_settings(settings: type[S], *, database_url: str, kafka_servers: str = "127.0.0.1:1", **more: Any) -> S:
    """Settings of a service under test: free ports, the tests' identity key, quick retries; `more` by field name."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "kafka_servers": kafka_servers,
        "identity_public_key": SIGNER.public_key_base64,
        "retry_interval_seconds": 0.2,
        "port": 0,
        "admin_port": 0,
        "log_format": "console",
    }
    return settings(**(values | more))


def caller(
    account_id: UUID | None = None,
    *,
    app: UUID | None = None,
    scopes: frozenset[Scope] = frozenset(Scope),
    operator: bool = False,
) -> Caller:
    """Somebody with an API key of an account; `operator` has the admin key and no account."""
    if operator:
        return Caller(actor="operator", operator=True)
    return Caller(
        actor=f"key-{uuid4()}",
        account_id=account_id or uuid4(),
        scopes=scopes,
        app=AppClaim(id=app) if app is not None else None,
    )


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: Mapping[str, str]
    body: Any  # parsed JSON, or text


@dataclass(frozen=True)
class ServiceClient:
    """Calls a running service; every call is signed for it unless `caller` is None."""

    running: Running
    http: ClientSession = field(repr=False)
    signer: IdentitySigner = field(default=SIGNER, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.running.admin_port}"

    def headers(self, method: str, path: str, who: Caller | None, request_id: str | None = None) -> dict[str, str]:
        request_id = request_id or str(uuid4())
        if who is None:
            return {REQUEST_ID_HEADER: request_id}
        audience: ServiceName = self.running.service.name
        token = self.signer.sign(who, audience=audience, method=method, path=path, request_id=request_id)
        return {REQUEST_ID_HEADER: request_id, IDENTITY_HEADER: token}

    async def call(
        self,
        method: str,
        path: str,
        *,
        caller: Caller | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {**self.headers(method, path, caller), **(headers or {})}
        async with self.http.request(
            method, self.url + path, json=json, data=data, headers=sent, allow_redirects=False
        ) as response:
            return await _answer(response)

    async def admin(self, path: str) -> Answer:
        async with self.http.get(self.admin_url + path) as response:
            return await _answer(response)


async def _answer(response: Any) -> Answer:
    body = await response.json(content_type=None) if "json" in response.content_type else await response.text()
    return Answer(response.status, response.reason, response.headers, body)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[ServiceClient]:
    """The service as its process runs it: readers, subscriptions, both ports; ended gracefully at the exit."""
    async with Running(service).serve() as started, ClientSession() as http:
        yield ServiceClient(started, http)


__all__ = ["Answer", "ServiceClient", "caller", "running", "service_settings"]
