"""The whole service as its process runs it, on a real broker and a real Postgres; the neighbours are played."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from pac.contracts.base import Event, Source, Step
from pac.contracts.billing import CreditsCaptured, CreditsReleased, CreditsReserved
from pac.contracts.packages import (
    PackageDescribed,
    PackageStored,
    PackageSubmitted,
    PackageValidated,
    PackageWithdrawn,
)
from pac.contracts.runtime_notifier import RuntimeReady
from pac.contracts.topics import ServiceName
from pac.deployments.app import build_service
from pac.deployments.settings import Settings
from pac.servicekit.service import Service
from pac.testkit.kafka import KafkaServer, Stream
from pac.testkit.postgres import DatabaseOf
from pac.testkit.service import ServiceClient, caller, running, service_settings

PATIENCE_SECONDS = 40.0


@dataclass
class Neighbours:
    """What packages, billing and runtime-notifier say about one deployment."""

    kafka: KafkaServer
    deployment_id: UUID = field(default_factory=uuid4)
    account_id: UUID = field(default_factory=uuid4)
    app: UUID = field(default_factory=uuid4)
    package_id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.packages = Stream(ServiceName.PACKAGES, f"submission-{self.deployment_id}")
        self.billing = Stream(ServiceName.BILLING, f"hold-{self.deployment_id}")
        self.notifier = Stream(ServiceName.RUNTIME_NOTIFIER, f"delivery-{self.deployment_id}")

    @property
    def ids(self) -> dict[str, Any]:
        return {"deployment_id": self.deployment_id, "account_id": self.account_id, "at": datetime.now(UTC)}

    async def say(self, stream: Stream, event: Event) -> None:
        await self.kafka.publish(stream.say(event))

    async def submitted(self) -> None:
        submitted = PackageSubmitted(
            **self.ids,
            package_id=self.package_id,
            agent_app_id=self.app,
            package_version="1.2.0",
            sha256="a" * 64,
            size_bytes=2048000,
            object_key="staging/1",
            source=Source.UPLOAD,
            no=1,
        )
        await self.say(self.packages, submitted)

    async def reserved(self) -> None:
        await self.say(self.billing, CreditsReserved(**self.ids, amount=2))

    async def answer(self, step: Step) -> None:
        mine = {**self.ids, "package_id": self.package_id, "attempt": 1}
        match step:
            case Step.VALIDATE_PACKAGE:
                await self.say(self.packages, PackageValidated(**mine))
            case Step.UPLOAD_TO_S3:
                await self.say(self.packages, PackageStored(**mine, object_key="sha256/aa"))
            case Step.GENERATE_METADATA:
                await self.say(self.packages, PackageDescribed(**mine))
            case Step.NOTIFY_RUNTIME:
                await self.say(self.notifier, RuntimeReady(**self.ids, agent_app_id=self.app, attempt=1))
            case Step.FINALIZE:
                await self.say(self.billing, CreditsCaptured(**self.ids, amount=2, attempt=1))


ServiceOf = Callable[..., Awaitable[Service]]


@pytest.fixture
async def service_of(database_of: DatabaseOf, kafka: KafkaServer) -> ServiceOf:
    async def build(**more: Any) -> Service:
        database = await database_of("pac.deployments")
        return build_service(service_settings(Settings, database_url=database.url, kafka_servers=kafka.servers, **more))

    return build


async def until(client: ServiceClient, told: Neighbours, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Polls the status as a client does, until it is so."""
    seen: dict[str, Any] = {}
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                path = f"/api/deployments/{told.deployment_id}"
                answer = await client.call("GET", path, caller=caller(told.account_id))
                if answer.status == 200:
                    seen = answer.body["deployment"]
                    if wanted(seen):
                        return seen
                await asyncio.sleep(0.05)
    except TimeoutError:
        health = (await client.admin("/healthz?verbose")).body
        raise AssertionError(f"it never became so: {seen}, {health}") from None


def at(step: Step) -> Callable[[dict[str, Any]], bool]:
    return lambda seen: bool(seen["progress"]["current_step"] == step)


async def test_a_deployment_lives_from_topic_to_topic(service_of: ServiceOf, kafka: KafkaServer) -> None:
    told = Neighbours(kafka)
    async with running(await service_of()) as client:
        await told.reserved()  # too early: it is parked until the submission is heard
        await told.submitted()
        for step in Step:
            await until(client, told, at(step))
            await told.answer(step)
        view = await until(client, told, lambda seen: bool(seen["status"] == "completed"))
        assert view["outcome"] == "succeeded"

        async def counted() -> bool:
            stats = (await client.call("GET", "/api/deployments/queue/stats")).body["stats"]
            return bool(stats == {"queued": 0, "processing": 0, "completed": 1, "failed": 0, "total": 1})

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await counted():  # noqa: ASYNC110 - the projection tells nobody
                await asyncio.sleep(0.05)
        metrics = (await client.admin("/metrics")).body
        assert "queue_deployments_waiting 0.0" in metrics
        assert 'deployments_ended_total{code="",outcome="succeeded"} 1.0' in metrics
        assert 'deployment_step_seconds_count{outcome="completed",step="finalize"} 1.0' in metrics
    records = await kafka.records("deployments.events")
    types = [dict(record.headers)["ce_type"].decode() for record in records]
    assert types == [
        "DeploymentQueued",
        "DeploymentFunded",
        "DeploymentStarted",
        *["StepStarted", "StepCompleted"] * 5,
        "DeploymentCompleted",
    ]
    assert {record.key.decode() for record in records} == {str(told.deployment_id)}


async def test_the_clock_ends_what_nobody_answers(service_of: ServiceOf, kafka: KafkaServer) -> None:
    told = Neighbours(kafka)
    quick = {"step_attempts": 2, "step_deadline_seconds": 0.5, "step_backoff_seconds": 0.1, "sweep_seconds": 0.1}
    async with running(await service_of(**quick)) as client:
        await told.submitted()
        await told.reserved()
        await until(client, told, lambda seen: seen["progress"]["steps"][0].get("attempt") == 2)

        async def aborted() -> bool:
            found = [dict(each.headers)["ce_type"] for each in await kafka.records("deployments.events")]
            return b"DeploymentAborted" in found

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await aborted():  # noqa: ASYNC110 - a topic tells nobody
                await asyncio.sleep(0.1)
        await told.say(told.packages, PackageWithdrawn(**told.ids, package_id=told.package_id, freed=True))
        await told.say(told.billing, CreditsReleased(**told.ids, amount=2))
        view = await until(client, told, lambda seen: bool(seen["status"] == "failed"))
    assert view["error"] == "Step validate_package was not finished within 0.5 s (attempt 2 of 2)"
    assert view["error_code"] == "step_timeout"
