"""Live laws on a real Postgres: whatever breaks one is named, the others hold, and asking is bounded and harmless."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiohttp import ClientSession
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.gateway import AgentAppChanged
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.eventlog import Cause, EventLog
from pac.servicekit.health import Admin, Health
from pac.servicekit.http import Route, build_http
from pac.servicekit.identity import IdentitySigner, IdentityVerifier
from pac.servicekit.invariants import PATH, Finding, Invariants, Law, LawWatch
from pac.servicekit.laws import laws_of_every_service
from pac.servicekit.listener import Listener
from pac.servicekit.metrics import Metrics
from pac.testkit.eventually import eventually
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf

SIGNER = IdentitySigner(bytes(range(32)))
OPERATOR = Caller(actor="operator", operator=True)
NAMES = ["streams_are_whole", "watermark_is_young", "relay_keeps_up", "nothing_is_parked_for_long"]
FREELY = "ALTER TABLE log.events DISABLE TRIGGER only_added_to"
SENT = """
INSERT INTO log.checkpoints (reader, xid, position)
SELECT 'relay', xid, position FROM log.events ORDER BY xid DESC, position DESC LIMIT 1;
"""
LONG_AGO = "UPDATE log.events SET recorded_at = now() - interval '90 seconds'"
PARKED = """
INSERT INTO log.parked
    (consumer, subject, topic, partition, "offset", key, value, headers, reason, early, due_at, parked_at, dead_at)
VALUES ('gateway', 'the-subject', 't', 0, 1, '', '', '[]', 'no app yet', true, now(), {parked_at}, {dead_at});
"""


@pytest.fixture
async def database(database_of: DatabaseOf) -> Database:
    return await database_of("pac.gateway", laws=False)


@pytest.fixture
async def log(database: Database, event_log_of: EventLogOf) -> EventLog:
    """Three streams of three events each."""
    log = await event_log_of(ServiceName.GATEWAY, database=database)
    for number in range(3):
        app = UUID(int=number)
        at = datetime(2026, 11, 23, tzinfo=UTC)
        changes = [AgentAppChanged(account_id=UUID(int=9), at=at, agent_app_id=app, deploy_policy=p) for p in "abc"]
        async with log.transaction(f"app-{app}", cause=Cause("key-1", uuid4())) as tx:
            await tx.append(f"app-{app}", changes, expected_version=0)
    return log


async def told(log: EventLog, *laws: Law) -> dict[str, dict[str, Any]]:
    judged = await Invariants(log, laws or laws_of_every_service(log)).look()
    assert judged.unchecked == []
    return {law["name"]: law for law in judged.laws}


async def test_all_hold_in_a_sound_log(log: EventLog) -> None:
    found = await told(log)
    assert list(found) == NAMES
    assert all(law["holds"] for law in found.values())
    assert found["streams_are_whole"]["checked"] == 3
    assert all(law["detail"] for law in found.values())


@pytest.mark.parametrize(
    ("broken_by", "law", "detail"),
    [
        ("DELETE FROM log.events WHERE version = 2", "streams_are_whole", "expected version 2"),
        ("DELETE FROM log.events WHERE version = 1", "streams_are_whole", "expected version 1"),
        ("UPDATE log.events SET data = '{}' WHERE version = 3", "streams_are_whole", "its hash"),
        (LONG_AGO, "relay_keeps_up", "for 90."),
        (PARKED.format(parked_at="now() - interval '10 min'", dead_at="NULL"), NAMES[3], "the-subject for 600 s"),
        (PARKED.format(parked_at="now()", dead_at="now()"), NAMES[3], "the-subject for 0 s, given up: no app yet"),
    ],
)
async def test_what_is_broken_is_named_and_the_others_hold(
    log: EventLog, database: Database, broken_by: str, law: str, detail: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        await connection.execute(FREELY)
        await connection.execute(broken_by.encode())
    found = await told(log)
    assert [name for name in found if not found[name]["holds"]] == [law]
    assert detail in found[law]["detail"]


async def test_an_event_held_back_for_long_is_named(log: EventLog, database: Database) -> None:
    url = database.superuser_url
    async with await psycopg.AsyncConnection.connect(url) as older:
        await older.execute("SELECT pg_current_xact_id()")
        app = f"app-{uuid4()}"
        change = AgentAppChanged(
            account_id=UUID(int=9), at=datetime(2026, 11, 23, tzinfo=UTC), agent_app_id=uuid4(), deploy_policy="x"
        )
        async with log.transaction(app, cause=Cause("key-1", uuid4())) as tx:
            await tx.append(app, [change], expected_version=0)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            for statement in (FREELY, LONG_AGO, SENT):
                await connection.execute(statement.encode())
        found = await told(log)
        assert [name for name in found if not found[name]["holds"]] == ["watermark_is_young"]
        await older.rollback()
    assert (await told(log))["watermark_is_young"]["holds"]


async def test_something_parked_a_moment_ago_breaks_nothing(log: EventLog, database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        await connection.execute(PARKED.format(parked_at="now()", dead_at="NULL").encode())
    found = (await told(log))["nothing_is_parked_for_long"]
    assert (found["holds"], found["checked"], found["detail"]) == (True, 1, "1 subjects, the oldest for 0 s")


async def _hangs(connection: AsyncConnection) -> Finding:
    await connection.execute(text("SELECT pg_sleep(60)"))
    raise AssertionError("unreachable")


async def _writes(connection: AsyncConnection) -> Finding:
    await connection.execute(text("DELETE FROM log.checkpoints"))
    await connection.commit()
    return Finding(holds=True, detail="", checked=0)


async def _holds(_: AsyncConnection) -> Finding:
    return Finding(holds=True, detail="well", checked=1)


async def test_a_law_that_takes_too_long_or_writes_is_not_checked_and_hides_no_other(
    log: EventLog, database: Database
) -> None:
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        await connection.execute(SENT)
        began = time.monotonic()
        judged = await Invariants(log, (Law("hangs", _hangs), Law("writes", _writes), Law("holds", _holds))).look()
        assert time.monotonic() - began < 3
        assert (judged.unchecked, [law["name"] for law in judged.laws]) == (["hangs", "writes"], ["holds"])
        kept = await (await connection.execute("SELECT count(*) FROM log.checkpoints")).fetchone()
    assert kept == (1,)


async def test_many_that_ask_at_once_are_one_look(log: EventLog) -> None:
    looks = 0

    async def counted(_: AsyncConnection) -> Finding:
        nonlocal looks
        looks += 1
        return Finding(holds=True, detail="", checked=looks)

    invariants = Invariants(log, (Law("counted", counted),))
    await asyncio.gather(*(invariants.look() for _ in range(20)))
    assert looks == 1


@asynccontextmanager
async def served(listener: Listener) -> AsyncIterator[str]:
    await listener.setup()
    try:
        yield f"http://127.0.0.1:{await listener.listen('127.0.0.1', 0)}"
    finally:
        await listener.cleanup()


async def test_only_the_operator_is_told(log: EventLog) -> None:
    invariants = Invariants(log, laws_of_every_service(log))
    verifier = IdentityVerifier.from_base64(ServiceName.BILLING, SIGNER.public_key_base64)
    routes = [Route("GET", PATH, invariants.get, internal=True)]
    app = build_http(routes, verifier=verifier, metrics=Metrics(), stopping=asyncio.Event())

    def signed(caller: Caller) -> dict[str, str]:
        asked = {"audience": ServiceName.BILLING, "method": "GET", "path": PATH, "request_id": "request-1"}
        return {"PAC-Identity": SIGNER.sign(caller, **asked), "X-Request-Id": "request-1"}  # type: ignore[arg-type]

    member = Caller(actor="key-1", account_id=uuid4())
    async with served(Listener(app, drain_seconds=0.1)) as url, ClientSession(url) as http:
        for headers, status in (({}, 401), (signed(member), 403), (signed(OPERATOR), 200)):
            async with http.get(PATH, headers=headers) as answer:
                assert answer.status == status
                body = await answer.json()
        assert ([law["name"] for law in body["laws"]], body["unchecked"]) == (NAMES, [])


async def test_health_and_metrics_name_what_is_broken(log: EventLog, database: Database) -> None:
    invariants = Invariants(log, laws_of_every_service(log))
    health = Health("gateway", checks=(), broken_laws=invariants.broken)
    metrics = Metrics()
    watching = asyncio.create_task(LawWatch(invariants, metrics, every_seconds=1.1).run())
    admin = Listener(Admin(health, metrics).app(), drain_seconds=0.1)
    try:
        async with served(admin) as url, ClientSession(url) as http:

            async def seen() -> dict[str, Any]:
                async with http.get("/healthz?verbose") as answer:
                    return dict(await answer.json())

            before = await seen()
            assert (before["status"], before["broken_laws"]) == ("healthy", [])
            async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
                await connection.execute(PARKED.format(parked_at="now()", dead_at="now()").encode())

            async def named() -> bool:
                return bool((await seen())["broken_laws"] == ["nothing_is_parked_for_long"])

            await eventually(named, seconds=5)
            assert (await seen())["status"] == "degraded"
            async with http.get("/metrics") as answer:
                shown = re.findall(r'^law_broken\{law="(\w+)"\} (\S+)$', await answer.text(), re.MULTILINE)
            assert dict(shown) == {name: str(float(name == "nothing_is_parked_for_long")) for name in NAMES}
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
