"""A service as a process of its own, for tests that end it: counts what it hears, and has a slow and a waiting path."""

import asyncio

from aiohttp import web
from pydantic_settings import SettingsConfigDict
from sqlalchemy import text

from pac.contracts.gateway import AgentAppChanged, GatewayEvent
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Message, create_engine
from pac.servicekit.http import Route, reply, stopping_of
from pac.servicekit.kafka import Subscription
from pac.servicekit.run import run
from pac.servicekit.service import Service
from pac.servicekit.settings import ServiceSettings, load_settings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEPLOYMENTS_", frozen=True)


class Part:
    def __init__(self, log: EventLog) -> None:
        self.log = log

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        event = message.event
        if not isinstance(event, AgentAppChanged):
            return
        async with self.log.transaction(f"appstate-{event.agent_app_id}", cause=message) as tx:
            await asyncio.sleep(0.01)
            values = {"a": str(event.agent_app_id), "p": event.deploy_policy}
            await tx.execute(text("INSERT INTO state.effects (app, policy) VALUES (:a, :p)"), values)

    async def slow(self, request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query["seconds"]))
        return reply({"done": True})

    async def wait(self, request: web.Request) -> web.Response:
        await stopping_of(request).wait()
        return reply({"told": True})


def build(settings: Settings) -> Service:
    log = EventLog(create_engine(settings.database_url.get_secret_value()), ServiceName.DEPLOYMENTS)
    part = Part(log)
    return Service(
        name=ServiceName.DEPLOYMENTS,
        settings=settings,
        log=log,
        routes=[Route("GET", "/slow", part.slow, public=True), Route("GET", "/wait", part.wait, public=True)],
        subscriptions=[Subscription(ServiceName.GATEWAY, part.on_gateway_event)],
    )


if __name__ == "__main__":
    run(lambda: build(load_settings(Settings)))
