"""Fifty messages of two thousand that cannot be handled: the others flow, and after the mending each counts once."""

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Annotated, Any
from uuid import UUID

import psycopg
import pytest
import structlog
from pydantic import Field
from sqlalchemy import text

from pac.contracts.base import Event
from pac.contracts.gateway import AgentAppChanged, AgentAppCreated, AgentAppDeleted, GatewayEvent
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Message
from pac.servicekit.kafka import Subscription
from pac.servicekit.logging import configure_logging
from pac.servicekit.service import Service
from pac.servicekit.settings import ServiceSettings
from pac.testkit.chaos import seed_of
from pac.testkit.chaos.schedule import draws
from pac.testkit.eventually import eventually
from pac.testkit.holds import holding
from pac.testkit.kafka import KafkaServer, Stream
from pac.testkit.pac_up import command
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf
from pac.testkit.service import running, service_settings

MESSAGES, POISON, EACH, PAIRS = 2_000, 50, 10, 5
SLOWER_AT_MOST = 1.2
PATIENCE_SECONDS = 180.0
NOW = datetime(2026, 11, 23, tzinfo=UTC)
ACCOUNT = UUID(int=1)
BROKEN = "broken"
EFFECTS = """
CREATE TABLE state.effects (app text, what text, good boolean, at timestamptz DEFAULT clock_timestamp())
"""
# From the first to the last of the good ones.
SECONDS = "SELECT extract(epoch FROM max(at) - min(at))::float FROM state.effects WHERE good"
DEAD = "SELECT count(*) FROM log.parked WHERE dead_at IS NOT NULL"
LeftOut = Annotated[AgentAppCreated | AgentAppChanged, Field(discriminator="type")]  # of an older release


@dataclass(frozen=True)
class Consumers:
    """One row for each message, in its own transaction."""

    log: EventLog
    is_mended: bool = False

    async def before_the_mending(self, message: Message[LeftOut]) -> None:
        await self._effect(message)

    async def after_the_mending(self, message: Message[GatewayEvent]) -> None:
        await self._effect(message)

    async def _effect(self, message: Message[Any]) -> None:
        event = message.event
        app, policy = str(event.agent_app_id), getattr(event, "deploy_policy", None)
        is_good = isinstance(event, AgentAppChanged) and policy != BROKEN
        async with self.log.transaction(f"appstate-{app}", cause=message) as tx:
            row = {"a": app, "w": f"{message.envelope.stream} {message.envelope.version}", "g": is_good}
            await tx.execute(text("INSERT INTO state.effects (app, what, good) VALUES (:a, :w, :g)"), row)
            if policy == BROKEN and not self.is_mended:
                raise RuntimeError(BROKEN)


def messages(random: Random, *, poisoned: bool) -> list[Any]:
    """Streams of ten good ones each, in order; among them the poison, each on a stream of its own."""

    def app() -> UUID:
        return UUID(int=random.getrandbits(128), version=4)

    def stream(*events: Callable[[UUID], Event]) -> list[Any]:
        mine = app()
        said = Stream(ServiceName.GATEWAY, f"app-{mine}")
        return [said.say(event(mine)) for event in events]

    def changed(policy: str) -> Callable[[UUID], Event]:
        return lambda mine: AgentAppChanged(account_id=ACCOUNT, at=NOW, agent_app_id=mine, deploy_policy=policy)

    def unheard_of(mine: UUID) -> Event:
        return AgentAppDeleted(account_id=ACCOUNT, at=NOW, agent_app_id=mine)

    good = [stream(*(changed(str(number)) for number in range(EACH))) for _ in range((MESSAGES - POISON) // EACH)]
    rounds = [one for each in zip(*good, strict=True) for one in each]
    for number in range(POISON):
        [bad] = stream(changed(BROKEN) if number % 2 else unheard_of)
        place = random.randrange(len(rounds))
        if poisoned:
            rounds.insert(place, bad)
    return rounds


@dataclass
class Ground:
    kafka: KafkaServer
    database: Database
    log: EventLog

    def service(self, *, mended: bool) -> Service:
        consumers = Consumers(self.log, is_mended=mended)
        # As a service is by default; only what is hopeless is given up sooner.
        settings = service_settings(
            ServiceSettings,
            database_url=self.database.url,
            kafka_servers=self.kafka.servers,
            retry_interval_seconds=1.0,
            retry_limit=3,
        )
        handler = consumers.after_the_mending if mended else consumers.before_the_mending
        return Service(
            name=ServiceName.DEPLOYMENTS,
            settings=settings,
            log=self.log,
            subscriptions=[Subscription(ServiceName.GATEWAY, handler)],
        )

    async def asked(self, statement: str) -> Any:
        async with self.log.reading() as connection:
            return (await connection.execute(text(statement))).scalar_one()

    async def all_good_are_done(self) -> bool:
        await asyncio.sleep(0.1)
        return bool(await self.asked("SELECT count(*) FROM state.effects WHERE good") == MESSAGES - POISON)

    async def all_poison_is_dead(self) -> bool:
        await asyncio.sleep(0.1)
        return bool(await self.asked(DEAD) == POISON)

    async def counted(self) -> Counter[str]:
        async with self.log.reading() as connection:
            return Counter((await connection.execute(text("SELECT what FROM state.effects"))).scalars())

    async def operator(self, *arguments: str) -> Any:
        environment = {"DEPLOYMENTS_DATABASE_URL": self.database.url}
        said = await command("dlq", *arguments, "--service", "deployments", "-o", "json", environment=environment)
        assert said.code == 0, said
        return json.loads(said.out)["messages"]


@pytest.fixture
def as_a_process_logs(tmp_path: Path) -> Iterator[None]:
    """What a message costs that is set aside is to a good part what is told of it."""
    with (tmp_path / "log").open("w") as file:
        configure_logging("deployments", "json", "info", file)
        yield
        structlog.reset_defaults()


@pytest.mark.chaos
@pytest.mark.timeout(1200)
async def test_poison_slows_nobody_and_is_replayed_once(
    as_a_process_logs: None, kafka_server: KafkaServer, database_of: DatabaseOf, event_log_of: EventLogOf
) -> None:
    seed = seed_of()

    async def ground(*, poisoned: bool) -> Ground:
        await kafka_server.make_topics()
        database = await database_of()
        async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
            await connection.execute(EFFECTS)
        drawn = messages(draws(seed), poisoned=poisoned)
        await kafka_server.publish(*drawn)
        return Ground(kafka_server, database, await event_log_of(ServiceName.DEPLOYMENTS, database=database))

    async def seconds(found: Ground, *, poisoned: bool) -> float:
        async with running(found.service(mended=False)):
            await eventually(found.all_good_are_done, seconds=PATIENCE_SECONDS)
            if poisoned:
                await eventually(found.all_poison_is_dead, seconds=PATIENCE_SECONDS)
        return float(await found.asked(SECONDS))

    with holding(
        "poison",
        fault=f"{POISON} messages that cannot be handled",
        load=f"{MESSAGES} messages",
        law="the others at most 1.2 times slower; after the mending all are replayed, once each",
        seed=seed,
    ) as figures:
        ratios = []
        for number in range(PAIRS):
            taken = {}
            for poisoned in (True, False) if number % 2 else (False, True):
                last = await ground(poisoned=poisoned)
                taken[poisoned] = await seconds(last, poisoned=poisoned)
                print(f"{'with' if poisoned else 'without'} poison {taken[poisoned]:.2f} s")  # noqa: T201 - as below
                if poisoned:
                    poisonous = last
            ratios.append(taken[True] / taken[False])
        figures["slower by"] = ratio = round(statistics.median(ratios), 2)
        figures["pairs"] = PAIRS
        figures["clean run"] = f"{taken[False]:.1f} s"

        await kafka_server.make_topics()
        async with running(poisonous.service(mended=True)):
            replayed = await poisonous.operator("replay", "--all")
            assert len(replayed) == POISON

            async def all_done() -> bool:
                return sum((await poisonous.counted()).values()) == MESSAGES

            await eventually(all_done, seconds=PATIENCE_SECONDS)
            assert set((await poisonous.counted()).values()) == {1}
            assert await poisonous.operator("list") == []
        figures["replayed"] = len(replayed)
        print(f"seed {seed}: {figures}, {ratios}")  # noqa: T201 - shown with -s
        assert ratio <= SLOWER_AT_MOST, ratios
