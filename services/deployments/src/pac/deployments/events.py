"""GET /api/deployments/{id}/events: a deployment's own log, as a page, or as a stream that ends with the deployment."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiohttp import hdrs, web

from pac.contracts.base import Event
from pac.contracts.bodies.deployments import EventsReply, EventView
from pac.contracts.deployments import DeploymentCancelled, DeploymentCompleted, DeploymentFailed, DeploymentRejected
from pac.contracts.envelope import Envelope
from pac.deployments.asked import EVENT_STREAM, after_in, bad, wants_stream
from pac.deployments.domain import Deployment
from pac.deployments.followers import Follower, Followers
from pac.deployments.history import History
from pac.eventlog import Recorded
from pac.servicekit.http import caller_of, cursor_of, page_in, reply, stopping_of, uuid_in

ENDS = (DeploymentCompleted, DeploymentFailed, DeploymentCancelled, DeploymentRejected)
AT_ONCE: Final = 100
WATCH_SECONDS: Final = 1.0  # how soon a client that has left is noticed
RETRY = b"retry: 1000\n\n"  # milliseconds until a browser comes back
HEARTBEAT = b": still here\n\n"


def shown(envelope: Envelope[Event]) -> EventView:
    event = envelope.event
    return EventView(
        version=envelope.version,
        type=event.type,
        at=event.at,
        data=event.model_dump(mode="json"),
        causation_id=envelope.causation_id,
    )


def message_of(envelope: Envelope[Event]) -> bytes:
    data = shown(envelope).model_dump_json()
    return f"id: {envelope.version}\nevent: {envelope.event.type}\ndata: {data}\n\n".encode()


@dataclass(frozen=True)
class Events:
    history: History
    followers: Followers
    heartbeat_seconds: float = 15.0

    async def get_events(self, request: web.Request) -> web.StreamResponse:
        deployment_id, account_id = uuid_in(request, "deployment_id"), caller_of(request).account_id
        now = await self.history.owned(account_id, deployment_id)
        assert account_id is not None
        after = after_in(request)
        if after > now.version:
            raise bad("after", f"there is no event {after} yet")
        if wants_stream(request):
            return await self._stream(request, account_id, deployment_id, now, after)
        return await self._page(request, deployment_id, after)

    async def _page(self, request: web.Request, deployment_id: UUID, after: int) -> web.Response:
        page = page_in(request, (int,), default=100, maximum=500)
        seen = int(page.after[0]) if page.after else after
        found = await self.history.events(deployment_id, after=seen, limit=page.limit + 1)
        events = found[: page.limit]
        more = cursor_of(events[-1].version) if len(found) > page.limit else None
        return reply(EventsReply(events=tuple(map(shown, events)), next_cursor=more))

    # ---- as a stream -------------------------------------------------------------------------------------------------

    async def _stream(
        self, request: web.Request, account_id: UUID, deployment_id: UUID, now: Recorded[Deployment], after: int
    ) -> web.StreamResponse:
        headers = {hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
        if now.state.ended_at is not None and after == now.version:
            return web.Response(status=204, headers=headers)  # tells a browser not to come back
        response = web.StreamResponse(headers=headers)
        response.content_type = EVENT_STREAM
        if request.method == hdrs.METH_HEAD:
            await response.prepare(request)
            return response
        with self.followers.following(account_id, f"deployment-{deployment_id}", after) as follower:
            await response.prepare(request)
            await response.write(RETRY)
            while not await self._send(response, deployment_id, follower):
                if not await self._moved(request, response, follower):
                    break
        await response.write_eof()
        return response

    async def _send(self, response: web.StreamResponse, deployment_id: UUID, follower: Follower) -> bool:
        """Everything that has come; whether the deployment's end was among it."""
        follower.moved.clear()
        while events := await self.history.events(deployment_id, after=follower.version, limit=AT_ONCE):
            await response.write(b"".join(message_of(each) for each in events))
            follower.version = events[-1].version
            if isinstance(events[-1].event, ENDS):
                return True
            if len(events) < AT_ONCE:
                break
        return False

    async def _moved(self, request: web.Request, response: web.StreamResponse, follower: Follower) -> bool:
        """Waits for the next event. False when the process is to end; a client that has left is an OSError."""
        moved = asyncio.create_task(follower.moved.wait())
        stopping = asyncio.create_task(stopping_of(request).wait())
        spoken = time.monotonic()
        try:
            while not await _first_of((moved, stopping)):
                if request.transport is None or request.transport.is_closing():
                    raise ConnectionResetError("the client has left")
                if time.monotonic() - spoken >= self.heartbeat_seconds:
                    await response.write(HEARTBEAT)
                    spoken = time.monotonic()
            return not stopping.done()
        finally:
            moved.cancel()
            stopping.cancel()


async def _first_of(tasks: Sequence[asyncio.Task[bool]]) -> bool:
    done, _ = await asyncio.wait(tasks, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)
