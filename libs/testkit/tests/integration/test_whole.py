"""The laws of a whole PAC are found to hold where they do, and each is found broken where it is."""

import re
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from pac.contracts.topics import ServiceName
from pac.deployments.domain import Policy
from pac.servicekit.objects import Objects, ObjectsSettings
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf
from pac.testkit.whole import BILLING, DEPLOYMENTS, GATEWAY, NOTIFIER, PACKAGES, LawsBroken, World, hold

from .between import Between, between


@dataclass(frozen=True)
class Scratch:
    world: World
    between: Between

    async def broken_by(self, service: ServiceName, statement: str) -> None:
        """An operator may do anything, even what the tables' triggers forbid."""
        async with await psycopg.AsyncConnection.connect(self.world.urls[service], autocommit=True) as connection:
            await connection.execute("SET session_replication_role = replica")
            assert (await connection.execute(statement.encode())).rowcount == 1


@pytest.fixture
async def scratch(database_of: DatabaseOf, event_log_of: EventLogOf, objects_settings: ObjectsSettings) -> Scratch:
    """One deployment completed, one ended before its time; at rest."""
    databases: dict[ServiceName, Database] = {
        one: await database_of(f"pac.{one.module}", laws=False) for one in ServiceName
    }
    completed = await between(event_log_of, databases)
    await completed.submit()
    await completed.flow()
    cancelled = Between(completed.logs, packages_answers=False)
    await cancelled.submit()
    await cancelled.flow()
    cancelled.packages_answers = True
    await cancelled.cancel()
    await cancelled.flow()
    return Scratch(World({one: each.superuser_url for one, each in databases.items()}, objects_settings), completed)


async def test_a_sound_world_is_found_sound(scratch: Scratch) -> None:
    assert (await scratch.between.types(DEPLOYMENTS, "deployment"))[-1] == "DeploymentCompleted"
    await hold(scratch.world, patience_seconds=0)


JOB = "INSERT INTO state.jobs (queue, key, payload, cause, run_at) VALUES ('q', 'k', '{}', '{}', now())"
LETTER = """
INSERT INTO log.parked (consumer, subject, topic, partition, "offset", key, value, headers, reason, early, due_at)
VALUES ('billing', 's', 't', 0, 0, '', '', '[]', 'ValueError', false, clock_timestamp())
"""
OPEN = """
INSERT INTO state.submissions (deployment_id, package_id, account_id, app_id, version, no, source, open, decision,
    queued_at)
SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '1', 1, 'upload', true, 'undecided',
    now()
"""
NO_OBJECT = """
INSERT INTO state.packages (package_id, account_id, app_id, version, sha256, size_bytes, object_key, status, created_at)
SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '1', 'a', 1, 'packages/none', 'stored', now()
"""


HEARD = """
UPDATE log.inbox SET version = version - 1
WHERE source = 'deployments' AND version = (SELECT max(version) FROM log.inbox WHERE source = 'deployments')
"""
FAILED = "UPDATE log.events SET type = 'DeploymentFailed' WHERE type = 'DeploymentCompleted'"
REST_BROKEN = (
    (GATEWAY, "UPDATE log.checkpoints SET xid = '0', position = 0 WHERE reader = 'relay'", "has not sent account-"),
    (BILLING, LETTER, "billing has parked s of t: ValueError"),
    (NOTIFIER, JOB, "job q k is left"),
    (PACKAGES, OPEN, "submission of deployment .* is open"),
    (BILLING, HEARD, "billing has not heard of deployments: deployment-.* at"),
)
LAWS_BROKEN = (
    (PACKAGES, NO_OBJECT, "packages/none is not in the bucket"),
    (PACKAGES, "DELETE FROM log.events WHERE type = 'PackageStored'", "submission-.*: expected version 3"),
    (NOTIFIER, "UPDATE log.events SET data = data || '{\"attempt\": 2}'", "its hash does not follow"),
    (DEPLOYMENTS, "DELETE FROM read.deployments WHERE status = 'completed'", "read.deployments: only in a replay"),
    (DEPLOYMENTS, "UPDATE read.counts SET deployments = 9 WHERE status = 'failed'", "read.counts: not in a replay"),
    (DEPLOYMENTS, "UPDATE read.minutes SET seconds = seconds + 1 WHERE completed > 0", "read.minutes: not in a replay"),
    (DEPLOYMENTS, FAILED, "ended with DeploymentFailed, its hold with CreditsCaptured"),
    (BILLING, "UPDATE state.balances SET reserved = 1 WHERE spent > 0", "account .*: 1 reserved"),
    (BILLING, "UPDATE state.balances SET available = available + 1 WHERE spent > 0", "is the fold of the log"),
)
FORGOTTEN = ("packages/a/forgotten", "staging/forgotten")
UNPROJECTED = "UPDATE log.checkpoints SET xid = '0', position = 0 WHERE reader = 'deployments'"


async def test_each_law_can_be_broken(scratch: Scratch) -> None:
    for service, statement, _ in LAWS_BROKEN:
        await scratch.broken_by(service, statement)
    async with Objects(scratch.world.bucket) as objects:
        for key in FORGOTTEN:
            await objects.put_bytes(key, b"x")
    with pytest.raises(LawsBroken) as broken:
        await hold(scratch.world, patience_seconds=0)
    for told in (*(told for _, _, told in LAWS_BROKEN), *(f"{key} is stored and forgotten" for key in FORGOTTEN)):
        assert re.search(told, str(broken.value)), told


async def test_a_world_that_does_not_come_to_rest_is_told(scratch: Scratch) -> None:
    for service, statement, _ in (*REST_BROKEN, (DEPLOYMENTS, UNPROJECTED, "")):
        await scratch.broken_by(service, statement)
    with pytest.raises(LawsBroken, match="does not come to rest") as broken:
        await hold(scratch.world, patience_seconds=0.2)
    for told in (*(told for _, _, told in REST_BROKEN), "projection deployments has not seen"):
        assert re.search(told, str(broken.value)), told


async def five(database_of: DatabaseOf) -> dict[ServiceName, Database]:
    return {one: await database_of(f"pac.{one.module}") for one in ServiceName}


async def test_an_abort_said_again_is_released_once_and_ends_when_packages_answers(
    database_of: DatabaseOf, event_log_of: EventLogOf
) -> None:
    """The hub asks again for as long as one half of the end is missing; the half that has come is not done twice."""
    policy = Policy(ask_again=timedelta(seconds=60))
    one = await between(event_log_of, await five(database_of), policy=policy, packages_answers=False)
    await one.submit()
    await one.flow()
    await one.cancel()
    for _ in range(3):
        await one.flow()
        one.now += timedelta(hours=1)
        await one.clock_strikes()
    assert (await one.types(DEPLOYMENTS, "deployment")).count("DeploymentAborted") == 4
    one.packages_answers = True
    await one.flow()
    assert await one.types(BILLING, "hold") == ["CreditsReserved", "CreditsReleased"]
    assert (await one.types(DEPLOYMENTS, "deployment"))[-1] == "DeploymentCancelled"
