"""runtime-notifier is killed in the middle of deliveries, again and again: nothing is lost or changes places."""

import asyncio
import base64
import os
import signal
import sys
from asyncio.subprocess import Process
from collections import defaultdict
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog
from pac.runtime_notifier.app import build_service
from pac.runtime_notifier.settings import Settings
from pac.servicekit.objects import ObjectsSettings
from pac.testkit.eventually import eventually
from pac.testkit.kafka import KafkaServer, Stream
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf
from pac.testkit.receiver import Received, Receiver, receiving
from pac.testkit.service import SIGNER, running, service_settings
from pac.testkit.webhooks import Tenant, completed, queued, started

KEY = base64.b64encode(bytes(range(32))).decode()
WHOLE = ["deployment.queued", "deployment.started", "deployment.completed"]
DEPLOYMENTS = 8
KILLED_AT = (2, 9, 17)  # the how-manieth request: its answer is not heard
PATIENCE_SECONDS = 120.0


def environment(database: Database, kafka: KafkaServer, objects: ObjectsSettings) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RUNTIME_NOTIFIER_")},
        "RUNTIME_NOTIFIER_DATABASE_URL": database.url,
        "RUNTIME_NOTIFIER_RUNTIME_URL": "http://127.0.0.1:9",
        "RUNTIME_NOTIFIER_SEALING_KEY": KEY,
        "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY": KEY,
        "RUNTIME_NOTIFIER_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "GATEWAY_IDENTITY_PUBLIC_KEY": SIGNER.public_key_base64,
        "KAFKA_SERVERS": kafka.servers,
        "S3_ENDPOINT_URL": objects.endpoint_url,
        "S3_BUCKET": objects.bucket,
        "AWS_ACCESS_KEY_ID": objects.access_key_id,
        "AWS_SECRET_ACCESS_KEY": objects.secret_access_key.get_secret_value(),
        "PAC_LOG_LEVEL": "warning",
    }


async def begun(environment: dict[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "pac.runtime_notifier", env=environment)


async def killed(process: Process) -> None:
    """By SIGKILL, and not by anything of its own before."""
    assert process.returncode is None, process.returncode
    process.kill()
    assert await process.wait() == -signal.SIGKILL


async def leases_end(log: EventLog) -> None:
    """What the killed process had taken is free at once, not in half a minute."""
    async with log.reading() as connection:
        await connection.execute(text("UPDATE state.jobs SET leased_until = '-infinity' WHERE queue = 'webhooks'"))


async def registered(
    database: Database, kafka: KafkaServer, objects: ObjectsSettings, tenant: Tenant, receiver: Receiver
) -> UUID:
    settings = service_settings(
        Settings,
        database_url=database.url,
        kafka_servers=kafka.servers,
        runtime_url="http://127.0.0.1:9",
        sealing_key=SecretStr(KEY),
        key_encryption_key=SecretStr(KEY),
        webhook_allowed_networks="127.0.0.0/8",
    )
    async with running(build_service(settings, objects)) as notifier:
        made = await notifier.call("POST", tenant.path, caller=tenant.caller(), json={"url": receiver.url})
    assert made.status == 201, made
    receiver.secrets.append(made.body["webhook"]["secret"])
    return UUID(made.body["webhook"]["id"])


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_killed_in_the_middle_it_loses_nothing_and_repeats_under_the_same_id(
    kafka: KafkaServer, database_of: DatabaseOf, event_log_of: EventLogOf, objects_settings: ObjectsSettings
) -> None:
    database = await database_of("pac.runtime_notifier")
    log = await event_log_of(ServiceName.RUNTIME_NOTIFIER, database=database)
    tenant, deployments, in_the_middle = Tenant(), [uuid4() for _ in range(DEPLOYMENTS)], asyncio.Event()
    let_go = asyncio.Event()

    async def behave(_: Received) -> int:
        if len(receiver.seen) in KILLED_AT:
            let_go.clear()
            in_the_middle.set()
        await let_go.wait()
        return 204

    async with receiving(behave=behave) as receiver:
        webhook_id = await registered(database, kafka, objects_settings, tenant, receiver)
        streams = {one: Stream(ServiceName.DEPLOYMENTS, f"deployment-{one}") for one in deployments}
        for make in (queued, started, completed):
            await kafka.publish(*(stream.say(make(tenant, one)) for one, stream in streams.items()))
        let_go.set()
        settings = environment(database, kafka, objects_settings)
        process = await begun(settings)
        try:
            for _ in KILLED_AT:
                await asyncio.wait_for(in_the_middle.wait(), PATIENCE_SECONDS)
                in_the_middle.clear()
                await killed(process)
                await leases_end(log)
                let_go.set()
                process = await begun(settings)

            async def all_said() -> bool:
                return len(await log.history(f"webhook-{webhook_id}")) == DEPLOYMENTS * len(WHOLE)

            await eventually(all_said, seconds=PATIENCE_SECONDS)
        finally:
            if process.returncode is None:
                await killed(process)
    assert receiver.rejected == []
    of_one: dict[str, list[str]] = defaultdict(list)
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in receiver.seen:
        of_one[one.deployment_id].append(one.type)
        ids[one.deployment_id, one.type].add(one.id)
    assert of_one.keys() == {str(one) for one in deployments}
    for seen in of_one.values():
        assert sorted(set(seen), key=WHOLE.index) == WHOLE, "none is lost"
        assert seen == sorted(seen, key=WHOLE.index), "a later one never comes before an earlier one has its end"
    assert all(len(each) == 1 for each in ids.values()), "what comes again comes under the same id"
    assert len(receiver.seen) > DEPLOYMENTS * len(WHOLE), "a kill made something come again"
