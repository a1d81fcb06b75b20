"""A receiver of webhooks as a user writes one: it verifies with the library of Standard Webhooks, and may misbehave."""

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Received:
    """One request whose signature was good. `earlier`: how often its id had come before."""

    id: str
    type: str
    data: dict[str, Any]
    signatures: int
    size_bytes: int
    earlier: int

    @property
    def deployment_id(self) -> str:
        return str(self.data["deployment_id"])


Answer = int | web.Response
Behave = Callable[[Received], Answer | Awaitable[Answer]]


@dataclass
class Receiver:
    """`secrets`: a request must be signed with one of them, else it is `rejected`. `behave` gives the answer."""

    secrets: list[str] = field(default_factory=list, repr=False)
    behave: Behave = lambda _: 204
    seen: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)  # those answered with success, in this order
    rejected: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not any(verifies(secret, body, request) for secret in self.secrets):
            self.rejected.append(request.headers.get("webhook-id", ""))
            return web.Response(status=401)
        received = self._read(request, body)
        self.seen.append(received)
        found = self.behave(received)
        answer = await found if inspect.isawaitable(found) else found
        if isinstance(answer, int):
            answer = web.Response(status=answer)
        if answer.status < 300:
            self.taken.append(received)
        return answer

    def _read(self, request: web.Request, body: bytes) -> Received:
        told, message_id = json.loads(body), request.headers["webhook-id"]
        assert told.keys() == {"type", "timestamp", "data"}
        signatures = len(request.headers["webhook-signature"].split())
        earlier = sum(one.id == message_id for one in self.seen)
        return Received(message_id, told["type"], told["data"], signatures, len(body), earlier)

    def types_of(self, deployment_id: object) -> list[str]:
        """What was taken of a deployment, in order."""
        return [one.type for one in self.taken if one.data.get("deployment_id") == str(deployment_id)]


def verifies(secret: str, body: bytes, request: web.Request) -> bool:
    try:
        Webhook(secret).verify(body, dict(request.headers))
    except WebhookVerificationError:
        return False
    return True


@asynccontextmanager
async def receiving(host: str = "127.0.0.1", **options: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**options)
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    receiver.url = f"http://{host}:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
