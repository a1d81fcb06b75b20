"""What has no effect moves the inbox with its neighbours, and is never lost, whatever order or crash comes between."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from pac.contracts.envelope import to_kafka
from pac.contracts.gateway import AgentAppChanged, AgentAppCreated, GatewayEvent
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, LogUnavailable, Message, Raw
from pac.servicekit.handling import Handling, Subscription
from pac.servicekit.metrics import Metrics
from pac.servicekit.parked import DeadLetters, ParkedMessages
from pac.servicekit.settings import ServiceSettings
from pac.testkit.kafka import Stream
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf
from pac.testkit.service import service_settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ACCOUNT = UUID(int=1)
Tell = Callable[[Sequence[Any], random.Random], list[Any]]
EFFECTS = "CREATE TABLE state.effects (id bigserial, app text, number int)"


def idle(app: UUID) -> AgentAppCreated:
    return AgentAppCreated(account_id=ACCOUNT, at=NOW, agent_app_id=app)


def effective(app: UUID, number: int) -> AgentAppChanged:
    return AgentAppChanged(account_id=ACCOUNT, at=NOW, agent_app_id=app, deploy_policy=str(number))


@dataclass
class Consumer:
    """One that acts on AgentAppChanged alone, with what is around it in a service: handled in batches, no Kafka."""

    log: EventLog
    database: Database
    offset: int = 0
    broken: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        settings = service_settings(ServiceSettings, database_url=self.database.url)
        metrics = Metrics()
        letters = DeadLetters("deployments.dead-letters", settings, metrics)
        self.parked = ParkedMessages("deployments", self.log, letters, retry_seconds=0.01)
        subscription = Subscription(ServiceName.GATEWAY, self.on_gateway_event)
        self.handling = Handling(
            consumer="deployments",
            log=self.log,
            shelf=self.parked,
            metrics=metrics,
            handlers={subscription.topic: (subscription.handler, subscription.adapter())},
            wait_seconds=5.0,
        )

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        if isinstance(message.event, AgentAppChanged):
            app, number = str(message.event.agent_app_id), int(message.event.deploy_policy or "0")
            if (app, number) in self.broken:
                raise ZeroDivisionError
            async with self.log.transaction(f"appstate-{app}", cause=message) as tx:
                await tx.execute(
                    text("INSERT INTO state.effects (app, number) VALUES (:a, :n)"), {"a": app, "n": number}
                )

    def raw(self, envelope: Any) -> Raw:
        self.offset += 1
        key, value, headers = to_kafka(envelope)
        return Raw("gateway.events", 0, self.offset, key, value, headers)

    async def batch(self, records: Sequence[Raw]) -> list[Raw]:
        await self.handling.look(records)
        for record in records:
            await self.handling.take(record)
        return await self.handling.settle()

    async def retried(self) -> None:
        """Everything that is set aside, as often as it is its turn."""
        async with self.log.engine.begin() as connection:
            await connection.execute(text("UPDATE log.parked SET due_at = now()"))
        while await self.parked.parking.step(self.handling.attempt):
            pass

    async def effects(self) -> dict[str, list[int]]:
        found = defaultdict(list)
        async with self.log.reading() as connection:
            for app, number in await connection.execute(text("SELECT app, number FROM state.effects ORDER BY id")):
                found[app].append(number)
        return found

    async def count_parked(self) -> int:
        async with self.log.reading() as connection:
            return int(await connection.scalar(text("SELECT count(*) FROM log.parked")) or 0)

    async def inbox(self, stream: Stream) -> int:
        return await self.log.inbox("deployments", "gateway", stream.stream)


@pytest.fixture
async def consumer(database_of: DatabaseOf, event_log_of: EventLogOf) -> Consumer:
    database = await database_of()
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    async with log.engine.begin() as connection:
        await connection.execute(text(EFFECTS))
    return Consumer(log, database)


def streams(count: int) -> list[tuple[UUID, Stream]]:
    apps = [UUID(int=number) for number in range(1, count + 1)]
    return [(app, Stream(ServiceName.GATEWAY, f"app-{app}")) for app in apps]


async def test_what_has_no_effect_is_moved_over_with_the_batch(consumer: Consumer) -> None:
    [(app, stream), (other, second)] = streams(2)
    told = [stream.say(idle(app)), stream.say(idle(app)), second.say(idle(other))]
    assert await consumer.batch([consumer.raw(one) for one in told]) == []
    assert (await consumer.inbox(stream), await consumer.inbox(second)) == (2, 1)
    told = [stream.say(idle(app)), stream.say(effective(app, 4)), stream.say(idle(app))]
    assert await consumer.batch([consumer.raw(one) for one in told]) == []
    assert await consumer.inbox(stream) == 5
    assert await consumer.effects() == {str(app): [4]}
    assert await consumer.count_parked() == 0


async def test_an_effect_moves_over_what_was_passed_right_before_it(consumer: Consumer) -> None:
    [(app, stream)] = streams(1)
    records = [consumer.raw(stream.say(one)) for one in (idle(app), idle(app), effective(app, 3))]
    await consumer.handling.look(records)
    for record in records:
        await consumer.handling.take(record)
    assert await consumer.inbox(stream) == 3  # without `settle`


async def test_nothing_is_passed_over_a_gap(consumer: Consumer) -> None:
    [(app, stream)] = streams(1)
    first, second, third, fourth = (
        consumer.raw(stream.say(one)) for one in (idle(app), idle(app), effective(app, 3), idle(app))
    )
    assert await consumer.batch([second, third, fourth]) == []
    assert (await consumer.inbox(stream), await consumer.count_parked()) == (0, 3)
    assert await consumer.batch([first]) == []
    await consumer.retried()
    assert (await consumer.inbox(stream), await consumer.count_parked()) == (4, 0)
    assert await consumer.effects() == {str(app): [3]}


async def test_what_breaks_lies_behind_what_was_passed_before_it(consumer: Consumer) -> None:
    """Were the gap's messages set aside after it, each would wait for the other."""
    [(app, stream)] = streams(1)
    consumer.broken.add((str(app), 3))
    first, second, third = (consumer.raw(stream.say(one)) for one in (idle(app), idle(app), effective(app, 3)))
    assert await consumer.batch([second, third]) == []
    assert await consumer.batch([first]) == []
    consumer.broken.clear()
    await consumer.retried()
    assert (await consumer.inbox(stream), await consumer.count_parked()) == (3, 0)
    assert await consumer.effects() == {str(app): [3]}


async def test_what_could_not_be_settled_is_to_be_read_again(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(app, stream)] = streams(1)
    records = [consumer.raw(stream.say(one)) for one in (effective(app, 1), idle(app), idle(app))]

    async def away(*_: Any) -> None:
        raise LogUnavailable("away")

    consumer.handling.wait_seconds = 0.0
    monkeypatch.setattr(EventLog, "move_over", away)
    assert await consumer.batch(records) == records[1:]
    monkeypatch.undo()
    assert await consumer.inbox(stream) == 1
    assert await consumer.batch(records[1:]) == []
    assert await consumer.inbox(stream) == 3


@pytest.mark.parametrize("late", [0, 1])
async def test_what_comes_late_or_once_more_takes_nothing_of_its_stream_along(consumer: Consumer, late: int) -> None:
    """The second is noted when the first comes: as old news, or as an effect whose turn it is now."""
    [(app, stream)] = streams(1)
    first, second = (consumer.raw(stream.say(one)) for one in (effective(app, 1), idle(app)))
    if not late:
        await consumer.batch([first])
    assert await consumer.batch([second, first]) == []
    assert (await consumer.inbox(stream), await consumer.count_parked()) == (2, 0)
    assert await consumer.effects() == {str(app): [1]}


def shuffled(told: Sequence[Any], chance: random.Random) -> list[Any]:
    """Each one to three times, in any order."""
    copies = [one for one in told for _ in range(chance.randint(1, 3))]
    chance.shuffle(copies)
    return copies


def as_kafka_may_tell(told: Sequence[Any], chance: random.Random) -> list[Any]:
    """Streams side by side, each in its order; some of it lost, anything once more, and all of it said again."""
    between = sorted(told, key=lambda one: one.version + chance.random())
    heard = [one for one in between if chance.random() < 0.8]
    doubled = [chance.choice(heard[: number + 1]) for number in range(len(heard)) if chance.random() < 0.3]
    for one in doubled:
        heard.insert(chance.randint(heard.index(one) + 1, len(heard)), one)
    return [*heard, *between]


@pytest.mark.parametrize("tell", [as_kafka_may_tell, shuffled])
@pytest.mark.parametrize("seed", range(12))
async def test_any_loss_any_doubles_and_any_crash_end_in_the_same(consumer: Consumer, seed: int, tell: Tell) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    told, expected = [], defaultdict(list)
    for app, stream in streams(4):
        for number in range(1, 1 + chance.randint(3, 9)):
            acts = chance.random() < 0.4
            told.append(stream.say(effective(app, number) if acts else idle(app)))
            if acts:
                expected[str(app)].append(number)
    records = [consumer.raw(one) for one in tell(told, chance)]
    while records:
        size = chance.randint(1, 12)
        batch = records[:size]
        if chance.random() < 0.3:  # it dies in the middle: nothing of it is acknowledged
            await consumer.handling.look(batch)
            for record in batch[: chance.randint(0, len(batch))]:
                await consumer.handling.take(record)
            consumer.__post_init__()
            continue
        records = [*await consumer.batch(batch), *records[size:]]
        if chance.random() < 0.3:
            await consumer.retried()
    for _ in range(len(told)):
        await consumer.retried()
    assert await consumer.effects() == expected
    for envelope in told:
        assert await consumer.log.inbox("deployments", "gateway", envelope.stream) >= envelope.version
    assert await consumer.count_parked() == 0
