"""The whole service with a real Kafka: what it says arrives there, and what it hears from there moves it."""

import asyncio
import base64
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import FormData

from pac.contracts.base import Step
from pac.contracts.billing import CreditsReserved
from pac.contracts.deployments import StepStarted
from pac.contracts.packages import PackageSubmitted
from pac.contracts.topics import ServiceName
from pac.packages.app import build_service
from pac.packages.settings import Settings
from pac.servicekit.objects import ObjectsSettings
from pac.testkit.kafka import KafkaServer, Stream
from pac.testkit.postgres import DatabaseOf
from pac.testkit.service import caller, running, service_settings

from .harness import FINGERPRINT_KEY, NOON, SEALING_KEY, apkg


async def said(kafka: KafkaServer, kind: str) -> Any:
    """The first event of a kind in packages' topic."""
    async with asyncio.timeout(30):
        while True:
            for record in await kafka.records("packages.events"):
                if dict(record.headers)["ce_type"].decode() == kind:
                    return record
            await asyncio.sleep(0.05)


async def test_a_deploy_goes_out_and_billing_and_the_hub_come_in_over_kafka(
    kafka: KafkaServer, database_of: DatabaseOf, objects_settings: ObjectsSettings, tmp_path: Path
) -> None:
    database = await database_of("pac.packages")
    settings = service_settings(
        Settings,
        database_url=database.url,
        kafka_servers=kafka.servers,
        sealing_public_key=base64.b64encode(SEALING_KEY.public_key().public_bytes_raw()).decode(),
        fingerprint_key=FINGERPRINT_KEY,
        temp_dir=tmp_path,
        relay_backlog_seconds=30.0,
        decision_wait_seconds=30.0,
    )
    app_id = uuid4()
    who = caller(app=app_id)
    form = FormData()
    form.add_field("file", apkg(), filename="agent.apkg")
    async with running(build_service(settings, objects_settings)) as client:
        path = f"/api/agent-apps/{app_id}/packages/deploy"
        request = asyncio.create_task(client.call("POST", path, caller=who, data=form))
        record = await said(kafka, "PackageSubmitted")
        told = PackageSubmitted.model_validate_json(record.value)
        assert record.key.decode() == str(told.deployment_id)
        billing = Stream(ServiceName.BILLING, f"hold-{told.deployment_id}")
        held = CreditsReserved(account_id=told.account_id, at=NOON, deployment_id=told.deployment_id, amount=1)
        await kafka.publish(billing.say(held))
        answer = await asyncio.wait_for(request, 20)
        assert (answer.status, answer.body["deployment"]["id"]) == (202, str(told.deployment_id))
        hub = Stream(ServiceName.DEPLOYMENTS, f"deployment-{told.deployment_id}")
        order = StepStarted(
            account_id=told.account_id,
            at=NOON,
            deployment_id=told.deployment_id,
            step=Step.VALIDATE_PACKAGE,
            attempt=1,
            due_at=NOON,
            agent_app_id=app_id,
            package_id=told.package_id,
            package_version=told.package_version,
            sha256=told.sha256,
            size_bytes=told.size_bytes,
            object_key=told.object_key,
            release=1,
        )
        await kafka.publish(hub.say(order))
        await said(kafka, "PackageValidated")
        ready = await client.admin("/readyz")
        assert ready.status == 200
