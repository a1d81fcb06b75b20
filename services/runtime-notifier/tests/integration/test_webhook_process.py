"""The whole process on a real Kafka: what the hub says there reaches an endpoint, and the notifier says that it did."""

import base64
from uuid import uuid4

from pydantic import SecretStr

from pac.contracts.topics import ServiceName
from pac.runtime_notifier.app import build_service
from pac.runtime_notifier.settings import Settings
from pac.servicekit.objects import ObjectsSettings
from pac.testkit.eventually import eventually
from pac.testkit.kafka import KafkaServer, Stream
from pac.testkit.postgres import DatabaseOf
from pac.testkit.receiver import receiving
from pac.testkit.service import running, service_settings
from pac.testkit.webhooks import Tenant, completed, queued, started

KEY = SecretStr(base64.b64encode(bytes(range(32))).decode())
WHOLE = ["deployment.queued", "deployment.started", "deployment.completed"]


async def test_what_is_said_on_kafka_is_told_and_that_it_was_is_said(
    kafka: KafkaServer, database_of: DatabaseOf, objects_settings: ObjectsSettings
) -> None:
    database = await database_of("pac.runtime_notifier")
    settings = service_settings(
        Settings,
        database_url=database.url,
        kafka_servers=kafka.servers,
        runtime_url="http://127.0.0.1:9",
        sealing_key=KEY,
        key_encryption_key=KEY,
        webhook_allowed_networks="127.0.0.0/8",
    )
    tenant, deployment = Tenant(), uuid4()
    hub = Stream(ServiceName.DEPLOYMENTS, f"deployment-{deployment}")
    async with receiving() as receiver, running(build_service(settings, objects_settings)) as notifier:
        made = await notifier.call("POST", tenant.path, caller=tenant.caller(), json={"url": receiver.url})
        assert made.status == 201, made
        receiver.secrets.append(made.body["webhook"]["secret"])
        await kafka.publish(*(hub.say(make(tenant, deployment)) for make in (queued, started, completed)))
        await eventually(lambda: receiver.types_of(deployment) == WHOLE, seconds=60)
        assert receiver.rejected == []

        async def counted() -> str:
            """The figures, once the answer to the last attempt is on record: the receiver has it earlier."""
            figures: str = (await notifier.admin("/metrics")).body
            return figures if 'webhook_attempts_total{outcome="delivered"} 3.0' in figures else ""

        assert "webhook_messages_waiting" in await eventually(counted)

        async def said() -> list[str]:
            records = await kafka.records(ServiceName.RUNTIME_NOTIFIER.topic)
            return [dict(record.headers)["ce_type"].decode() for record in records]

        async def all_said() -> bool:
            return len(await said()) >= len(WHOLE)

        await eventually(all_said)
    assert await said() == ["WebhookDelivered"] * 3
