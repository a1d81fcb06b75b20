"""`pac log`, `pac projections` and `pac dlq` as an operator calls them, on databases named by the environment."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from pac.billing.accounts import Accounts
from pac.billing.consumers import Consumers
from pac.contracts.base import Source
from pac.contracts.deployments import DeploymentQueued
from pac.contracts.envelope import Envelope, to_kafka
from pac.contracts.gateway import AccountOpened
from pac.contracts.topics import ServiceName
from pac.deployments.projections import Deployments
from pac.eventlog import Cause, EventLog, Message, Parking, Patience, Projector, Raw
from pac.eventlog.leases import Leases
from pac.testkit.eventually import eventually
from pac.testkit.kafka import KafkaServer
from pac.testkit.pac_up import PAC, Finished, command
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACCOUNT = UUID(int=7)
TAMPERED = (
    "ALTER TABLE log.events DISABLE TRIGGER only_added_to",
    "UPDATE log.events SET data = jsonb_set(data, '{size_bytes}', '1') WHERE stream = %s",
    "ALTER TABLE log.events ENABLE TRIGGER only_added_to",
)


@dataclass
class Operator:
    """Deployments and billing with databases of their own; no PAC runs."""

    deployments: Database
    billing: Database
    hub: EventLog
    books: EventLog
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment |= {
            "DEPLOYMENTS_DATABASE_URL": self.deployments.url,
            "BILLING_DATABASE_URL": self.billing.url,
        }

    async def __call__(self, *arguments: str) -> Finished:
        return await command(*arguments, environment=self.environment)

    async def json(self, *arguments: str, code: int = 0) -> Any:
        said = await self(*arguments, "-o", "json")
        assert said.code == code, said
        return json.loads(said.out)

    async def queue(self, count: int = 1) -> list[UUID]:
        ids = [uuid4() for _ in range(count)]
        for number, deployment in enumerate(ids):
            stream = f"deployment-{deployment}"
            async with self.hub.transaction(stream, cause=Cause("user-1", uuid4())) as tx:
                await tx.append(stream, [queued(deployment, number)], expected_version=0)
        await eventually(lambda: readable(self.hub))
        return ids

    async def project(self) -> None:
        projector = Projector(self.hub, Deployments())
        while await projector.step():
            pass

    async def open_account(self) -> None:
        event = AccountOpened(account_id=ACCOUNT, at=NOON)
        told = Envelope(uuid4(), "gateway", f"account-{ACCOUNT}", 1, event, "user-1", uuid4())
        await Consumers(self.books, Accounts(), 10).on_gateway_event(Message("billing", told))


def queued(deployment: UUID, number: int) -> DeploymentQueued:
    return DeploymentQueued(
        account_id=ACCOUNT,
        at=NOON,
        deployment_id=deployment,
        agent_app_id=UUID(int=number),
        package_id=uuid4(),
        package_version="1.0.0",
        sha256="0" * 64,
        size_bytes=1000,
        object_key="x",
        source=Source.UPLOAD,
        billable=True,
        no=number,
    )


async def readable(log: EventLog) -> bool:
    return await log.watermark_age_seconds() == 0


async def changed(database: Database, *statements: str, parameters: Sequence[Any] = ()) -> None:
    """As nobody should."""
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement.encode(), parameters if "%s" in statement else None)


@pytest.fixture
async def operator(database_of: DatabaseOf, event_log_of: EventLogOf) -> Operator:
    deployments, billing = await database_of("pac.deployments", laws=False), await database_of("pac.billing")
    return Operator(
        deployments,
        billing,
        await event_log_of(ServiceName.DEPLOYMENTS, database=deployments),
        await event_log_of(ServiceName.BILLING, database=billing),
    )


# ---- pac log ---------------------------------------------------------------------------------------------------------


async def test_verify_names_a_tampered_event_a_changed_row_and_a_changed_balance(operator: Operator) -> None:
    first, second = await operator.queue(2)
    await operator.project()
    await operator.open_account()
    sound = await operator.json("log", "verify")
    assert sound["sound"]
    assert [(one["service"], one["events"], one["faults"]) for one in sound["services"]] == [
        ("deployments", 2, []),
        ("billing", 1, []),
    ]
    await changed(operator.deployments, *TAMPERED, parameters=(f"deployment-{first}",))
    await changed(
        operator.deployments, "UPDATE read.deployments SET status = 'failed' WHERE id = %s", parameters=[second]
    )
    await changed(operator.billing, "UPDATE state.balances SET available = 11")
    broken = await operator.json("log", "verify", code=1)
    hub, books = (one["faults"] for one in broken["services"])
    assert not broken["sound"]
    assert any(f"deployment-{first} at version 1" in fault and "hash" in fault for fault in hub)
    assert f"read.deployments id={second}: status is failed, a replay has queued" in hub
    assert any("a balance is the fold of the log" in fault and str(ACCOUNT) in fault for fault in books)
    said = await operator("log", "verify", "--service", "deployments")
    assert said.code == 1
    assert "2 events in 2 streams, 2 faults" in said.out
    assert "billing" not in said.out
    await changed(operator.billing, "UPDATE state.balances SET available = 10")
    assert (await operator("log", "verify", "--service", "billing")).code == 0


async def test_an_event_that_nobody_can_read_is_named_and_still_shown(operator: Operator) -> None:
    [deployment] = await operator.queue()
    stream = f"deployment-{deployment}"
    spoilt = 'UPDATE log.events SET data = \'{"type": "Spoilt", "password": "hunter2"}\' WHERE stream = %s'
    await changed(operator.deployments, TAMPERED[0], spoilt, TAMPERED[2], parameters=[stream])
    await changed(operator.deployments, "INSERT INTO log.checkpoints VALUES ('deployments', '1000000', 0)")
    verified = await operator("log", "verify", "--service", "deployments")
    assert verified.code == 1
    assert f"{stream} at version 1: is no event of this service" in verified.out
    assert "projection deployments cannot be replayed" in verified.out
    assert "hunter2" not in verified.out + verified.err
    assert (await operator.json("log", "show", stream))["events"][0]["data"]["type"] == "Spoilt"


async def test_the_history_of_a_stream_is_shown(operator: Operator) -> None:
    [deployment] = await operator.queue()
    shown = await operator.json("log", "show", f"deployment-{deployment}", "--service", "deployments")
    [event] = shown["events"]
    assert (event["version"], event["type"], event["actor"]) == (1, "DeploymentQueued", "user-1")
    assert event["data"]["deployment_id"] == str(deployment)
    assert len(event["hash"]) == 64
    table = await operator("log", "show", f"deployment-{deployment}")
    assert "DeploymentQueued" in table.out
    unknown = await operator("log", "show", "deployment-unknown")
    assert unknown.code == 1
    assert "no stream deployment-unknown" in unknown.err


async def test_replay_says_to_kafka_what_was_said_before(operator: Operator, kafka: KafkaServer) -> None:
    await operator.queue(3)
    await changed(
        operator.deployments,
        "INSERT INTO log.checkpoints (reader, xid, position) "
        "SELECT 'relay', xid, position FROM log.events WHERE position = 2",
    )
    operator.environment["KAFKA_SERVERS"] = kafka.servers
    told = await operator.json("log", "replay", "--service", "deployments")
    assert told == {"service": "deployments", "topic": "deployments.events", "published": 2}
    records = await kafka.records("deployments.events")
    assert len(records) == 2
    assert dict(records[0].headers)["ce_type"] == b"DeploymentQueued"
    assert (await operator.json("log", "replay", "--service", "deployments", "--from", "2"))["published"] == 1
    operator.environment["KAFKA_SERVERS"] = "127.0.0.1:1"
    away = await operator("log", "replay", "--service", "deployments")
    assert away.code == 1
    assert "Kafka does not answer" in away.err


async def test_a_log_is_rebased_unless_its_service_runs(operator: Operator) -> None:
    await operator.queue(2)
    leases = Leases(operator.hub)
    lease = await leases.acquire("relay")
    assert lease is not None
    refused = await operator("log", "rebase", "deployments")
    assert refused.code == 1
    assert "is in use" in refused.err
    await leases.release(lease)
    assert (await operator("log", "rebase", "deployments")).code == 0
    async with operator.hub.reading() as connection:
        xids = (await connection.exec_driver_sql("SELECT DISTINCT xid::text FROM log.events")).scalars().all()
    assert xids == ["3"]
    assert (await operator("log", "verify", "--service", "deployments")).code == 0


# ---- pac projections -------------------------------------------------------------------------------------------------


async def test_projections_are_listed_with_their_lag_and_rebuilt(operator: Operator) -> None:
    await operator.queue(3)
    await operator.project()
    [deployment] = await operator.queue()
    [row] = (await operator.json("projections", "list"))["projections"]
    assert (row["service"], row["name"], row["position"], row["lag_events"]) == ("deployments", "deployments", 3, 1)
    assert 0 < row["lag_seconds"] < 120
    assert row["state"] == "live"
    await operator.project()
    told = await operator.json("projections", "rebuild", "deployments", "--service", "deployments")
    assert (told["events"], told["same"], told["switched"]) == (4, True, True)
    assert {table["table"] for table in told["tables"]} == {"read.deployments", "read.counts", "read.minutes"}
    [row] = (await operator.json("projections", "list", "--service", "deployments"))["projections"]
    assert (row["position"], row["lag_events"], row["lag_seconds"]) == (4, 0, 0)
    await changed(operator.deployments, "DELETE FROM read.deployments WHERE id = %s", parameters=[deployment])
    differs = await operator("projections", "rebuild", "deployments", "--service", "deployments")
    assert differs.code == 1
    assert f"read.deployments id={deployment}: missing, a replay has it" in differs.out
    assert "--accept-differences" in differs.err
    accepted = await operator(
        "projections", "rebuild", "deployments", "--service", "deployments", "--accept-differences"
    )
    assert accepted.code == 0
    assert (await operator("log", "verify", "--service", "deployments")).code == 0


async def test_an_unknown_projection_and_an_unset_database_are_explained(operator: Operator) -> None:
    unknown = await operator("projections", "rebuild", "queue", "--service", "deployments")
    assert unknown.code == 1
    assert "known: deployments" in unknown.err
    unset = await operator("projections", "list", "--service", "gateway")
    assert unset.code == 1
    assert "GATEWAY_DATABASE_URL" in unset.err
    operator.environment["BILLING_DATABASE_URL"] = "postgresql://billing:hunter2@127.0.0.1:1/billing"
    away = await operator("log", "verify", "--service", "billing")
    assert away.code == 1
    assert "cannot be used" in away.err
    assert "hunter2" not in away.err


async def test_ctrl_c_leaves_the_live_tables_and_nothing_else(operator: Operator) -> None:
    await operator.queue(3)
    await operator.project()
    oids = "SELECT oid FROM pg_class WHERE relnamespace = 'read'::regnamespace AND relkind = 'r' ORDER BY oid"
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%%__v2'"
    async with await psycopg.AsyncConnection.connect(operator.deployments.superuser_url) as connection:
        before = await (await connection.execute(oids)).fetchall()
        await connection.execute("SELECT FROM read.deployments")  # the switch waits for this transaction
        process = await asyncio.create_subprocess_exec(
            PAC,
            *("projections", "rebuild", "deployments", "--service", "deployments"),
            env={**operator.environment, "PATH": sys.exec_prefix},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

        async def is_under_way() -> bool:
            async with operator.hub.reading() as reading:
                found = await reading.exec_driver_sql(schemas)
                return bool(found.scalar())

        await eventually(is_under_way)
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 130, said.decode()
        assert b"cancelled" in said
        assert b"Traceback" not in said
        assert await (await connection.execute(oids)).fetchall() == before
    assert not await is_under_way()


# ---- pac dlq ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def parking(operator: Operator) -> Parking:
    """Billing has set three messages aside: the first is dead, the second waits behind it, the third is no event."""
    parking = Parking(operator.books, "billing", patience=Patience(attempts_limit=1, shortest=0.0))
    deployment = UUID(int=5)
    for version in (1, 2):
        told = Envelope(
            uuid4(), "deployments", f"deployment-{deployment}", version, queued(deployment, 1), "user-1", uuid4()
        )
        key, value, headers = to_kafka(told)
        await parking.park(Raw("deployments.events", 0, version, key, value, headers), "Broken", early=version > 1)
    secret = Raw(
        "deployments.events", 0, 9, b"other", b'{"password": "hunter2"}', [("Authorization", b"Bearer hunter2")]
    )
    await parking.park(secret, "no event: Authorization: Bearer hunter2", early=False)

    async def fail(_: Raw) -> None:
        raise ZeroDivisionError

    while await parking.step(fail):
        pass
    return parking


async def test_messages_set_aside_are_listed_and_shown_without_secrets(operator: Operator, parking: Parking) -> None:
    rows = (await operator.json("dlq", "list"))["messages"]
    assert [(row["id"], row["state"], row["version"]) for row in rows] == [
        ("billing/1", "dead", 1),
        ("billing/2", "behind", 2),
        ("billing/3", "dead", None),
    ]
    shown = await operator.json("dlq", "show", "billing/1")
    assert shown["type"] == "DeploymentQueued"
    assert shown["event"]["size_bytes"] == 1000
    assert shown["headers"]["ce_subject"] == f"deployment-{UUID(int=5)}"
    unreadable = await operator.json("dlq", "show", "3", "--service", "billing")
    assert unreadable["event"] is None
    assert unreadable["value"]["bytes"] == 23
    for said in (
        await operator("dlq", "list"),
        await operator("dlq", "show", "billing/3"),
        await operator("dlq", "show", "billing/1"),
    ):
        assert said.code == 0
        assert "hunter2" not in said.out + said.err
    assert "hunter2" not in json.dumps([rows, unreadable])


async def test_a_message_is_replayed_once_and_the_next_is_dropped(operator: Operator, parking: Parking) -> None:
    assert await operator.json("dlq", "replay", "billing/1") == {
        "messages": [{"id": "billing/1", "result": "replayed"}]
    }
    handled: list[int] = []

    async def handle(raw: Raw) -> None:
        handled.append(raw.offset)

    assert await parking.step(handle)
    assert handled == [1]
    assert (await operator("dlq", "replay", "billing/1")).code == 1, "it is gone"
    gap = await operator("dlq", "drop", "billing/2")  # billing's inbox was not moved by our `handle`
    assert gap.code == 1
    assert "pac log replay --service deployments" in gap.err
    everything = await operator.json("dlq", "replay", "--all", "--service", "billing")
    assert everything == {"messages": [{"id": "billing/3", "result": "replayed"}]}
    assert "taken away" in (await operator("dlq", "drop", "billing/3")).out
    assert [row["id"] for row in (await operator.json("dlq", "list"))["messages"]] == ["billing/2"]


async def test_a_dropped_message_moves_the_inbox(operator: Operator, parking: Parking) -> None:
    assert (await operator("dlq", "drop", "billing/1", "billing/2")).out == "billing/1: dropped\nbilling/2: dropped\n"
    assert await operator.books.inbox("billing", "deployments", f"deployment-{UUID(int=5)}") == 2


@pytest.mark.parametrize("call", [("dlq", "drop", "12"), ("dlq", "replay"), ("dlq", "show", "nobody/1")])
async def test_a_wrong_call_is_told_apart_from_a_failure(operator: Operator, call: Sequence[str]) -> None:
    assert (await operator(*call)).code == 2
