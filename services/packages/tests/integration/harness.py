"""The service on a real Postgres and S3, spoken to over HTTP as the gateway does; Kafka's messages are handed in."""

import asyncio
import base64
import io
import itertools
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from aiohttp import ClientSession, FormData
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pysequoia import SignatureMode, Tsk, sign
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Event, Outcome, Step
from pac.contracts.billing import CreditsReserved
from pac.contracts.deployments import DeploymentAborted, DeploymentCompleted, StepStarted
from pac.contracts.envelope import Envelope
from pac.contracts.identity import AppClaim, Caller, Scope
from pac.contracts.packages import PackageSubmitted
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Message, Worker
from pac.packages.app import build_service
from pac.packages.leftovers import Leftovers
from pac.packages.settings import Settings
from pac.packages.sweep import Sweep
from pac.servicekit.http import build_http
from pac.servicekit.listener import Listener
from pac.servicekit.objects import Objects, ObjectsSettings
from pac.servicekit.run import Running, verifier_of
from pac.servicekit.supervision import end
from pac.testkit.postgres import Database
from pac.testkit.service import Answer, ServiceClient, service_settings

SEALING_KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
FINGERPRINT_KEY = base64.b64encode(b"f" * 32).decode()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PATIENCE_SECONDS = 20.0
MANIFEST = '{"name": "echo-agent", "version": "VERSION", "entrypoint": "src.main:handler"}'


def apkg(version: str = "1.0.0", changes: Mapping[str, bytes | None] | None = None) -> bytes:
    """A sound package; `changes` by entry name: other content, or None to leave the entry out."""
    entries: dict[str, bytes | None] = {
        "manifest.json": MANIFEST.replace("VERSION", version).encode(),
        ".env": b"T_FROM=dotenv\n",
        "src/main.py": b"def handler(context):\n    return context\n",
    }
    entries |= changes or {}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(zipfile.ZipInfo(name, (2026, 11, 23, 12, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def damaged(version: str = "1.0.0") -> bytes:
    """Looks sound and inflates to something else: only the whole validation finds it."""
    noise = bytes(range(256)) * 4
    file = bytearray(apkg(version))
    whole = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as old, zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name in old.namelist():
            archive.writestr(name, old.read(name))
        archive.writestr("src/data.bin", noise)
    content = bytearray(whole.getvalue())
    content[content.index(noise) + 100] ^= 0xFF
    return bytes(content)


def signed(key: Tsk, package: bytes, *, armor: bool = False) -> bytes:
    """agent.apkg.sig"""
    return sign(key.signer(), package, mode=SignatureMode.DETACHED, armor=armor)


@dataclass
class Tenant:
    account_id: UUID = field(default_factory=uuid4)
    app_id: UUID = field(default_factory=uuid4)
    signature_policy: Any = "optional"
    scopes: frozenset[Scope] = frozenset(Scope)

    def caller(self) -> Caller:
        claim = AppClaim(id=self.app_id, signature_policy=self.signature_policy)
        return Caller(actor="key-test", account_id=self.account_id, scopes=self.scopes, app=claim)

    @property
    def path(self) -> str:
        return f"/api/agent-apps/{self.app_id}/packages"

    @property
    def signing_keys(self) -> str:
        return f"/api/agent-apps/{self.app_id}/signing-keys"


@dataclass
class Packages:
    client: ServiceClient
    log: EventLog
    objects: Objects
    temp_dir: Path
    sweep: Sweep
    running: Running
    versions: dict[str, Iterator[int]] = field(default_factory=dict)

    # ---- as the gateway --------------------------------------------------------------------------------------------

    async def call(self, method: str, path: str, tenant: Tenant, **options: Any) -> Answer:
        headers = {**self.client.headers(method, path, tenant.caller()), **options.pop("headers", {})}
        url = self.client.url + path
        async with self.client.http.request(method, url, headers=headers, allow_redirects=False, **options) as response:
            body = await response.json() if "json" in response.content_type else await response.text()
            return Answer(response.status, response.reason or "", response.headers, body)

    async def post(
        self,
        tenant: Tenant,
        package: bytes | None,
        *,
        to: str = "/deploy",
        file_first: bool = True,
        signature: bytes | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> Answer:
        """Parts in the order of the specification's curl, or of the real client."""
        form = FormData(default_to_multipart=True)
        for first in (True, False):
            if first is file_first and package is not None:
                form.add_field(
                    "file", io.BytesIO(package), filename="agent.apkg", content_type="application/octet-stream"
                )
            if first is not file_first or package is None:
                for name, value in fields.items():
                    form.add_field(name, value)
                fields = {}
        if signature is not None:
            form.add_field("signature", signature, filename="agent.apkg.sig")
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.call("POST", tenant.path + to, tenant, data=form, headers=headers)

    async def may_sign(self, tenant: Tenant, *keys: Tsk) -> None:
        armored = [str(key.extract_certificate()) for key in keys]
        answer = await self.call("PUT", tenant.signing_keys, tenant, json={"keys": armored})
        assert answer.status == 200, answer

    async def deployed(self, tenant: Tenant, package: bytes, **fields: Any) -> PackageSubmitted:
        answer = await self.post(tenant, package, **fields)
        assert answer.status == 202, answer
        return await self.submitted(UUID(answer.body["deployment"]["id"]))

    # ---- as the hub and billing ------------------------------------------------------------------------------------

    async def hear(self, source: ServiceName, stream: str, event: Event) -> None:
        version = next(self.versions.setdefault(stream, itertools.count(1)))
        message: Message[Any] = Message(
            "packages", Envelope(uuid4(), source.value, stream, version, event, "key-test", uuid4())
        )
        [handler] = [s.handler for s in self.running.service.subscriptions if s.source is source]
        await handler(message)
        if await self.log.inbox("packages", source.value, stream) < version:
            await self.log.advance(message)

    async def hub(self, event: Any) -> None:
        await self.hear(ServiceName.DEPLOYMENTS, f"deployment-{event.deployment_id}", event)

    async def order(self, told: PackageSubmitted, step: Step, attempt: int = 1) -> None:
        await self.hub(
            StepStarted(
                account_id=told.account_id,
                at=NOON,
                deployment_id=told.deployment_id,
                step=step,
                attempt=attempt,
                due_at=NOON,
                agent_app_id=told.agent_app_id,
                package_id=told.package_id,
                package_version=told.package_version,
                sha256=told.sha256,
                size_bytes=told.size_bytes,
                object_key=told.object_key,
                release=1,
            )
        )

    async def reserve(self, told: PackageSubmitted) -> None:
        event = CreditsReserved(account_id=told.account_id, at=NOON, deployment_id=told.deployment_id, amount=1)
        await self.hear(ServiceName.BILLING, f"hold-{told.deployment_id}", event)

    async def abort(self, told: PackageSubmitted, outcome: Any = Outcome.FAILED, **fields: Any) -> None:
        await self.hub(
            DeploymentAborted(
                account_id=told.account_id,
                at=NOON,
                deployment_id=told.deployment_id,
                agent_app_id=told.agent_app_id,
                package_id=told.package_id,
                outcome=outcome,
                code="test",
                error="test",
                due_at=NOON,
                **fields,
            )
        )

    async def complete(
        self, told: PackageSubmitted, release: int = 1, *, current: bool = True, at: datetime = NOON
    ) -> None:
        await self.hub(
            DeploymentCompleted(
                account_id=told.account_id,
                at=at,
                deployment_id=told.deployment_id,
                agent_app_id=told.agent_app_id,
                package_id=told.package_id,
                package_version=told.package_version,
                sha256=told.sha256,
                size_bytes=told.size_bytes,
                object_key=told.object_key,
                release=release,
                no=told.no,
                current=current,
            )
        )

    async def stepped(self, told: PackageSubmitted) -> None:
        """All three steps of packages, one after the other."""
        for number, step in enumerate((Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA)):
            await self.order(told, step)
            await self.said(told.deployment_id, number + 2)

    # ---- what there is ---------------------------------------------------------------------------------------------

    async def said(self, deployment_id: UUID, count: int) -> list[Event]:
        """The submission's events, once there are so many."""

        async def enough(connection: AsyncConnection) -> bool | None:
            statement = text("SELECT count(*) FROM log.events WHERE stream = :stream")
            found = await connection.execute(statement, {"stream": f"submission-{deployment_id}"})
            return True if found.scalar_one() >= count else None

        await self.log.wait_for(enough, timeout_seconds=PATIENCE_SECONDS)
        events = [told.event for told in await self.log.history(f"submission-{deployment_id}")]
        assert len(events) >= count, events
        return events

    async def submitted(self, deployment_id: UUID) -> PackageSubmitted:
        event = (await self.said(deployment_id, 1))[0]
        assert isinstance(event, PackageSubmitted)
        return event

    async def next_submitted(self, after: int = 0) -> PackageSubmitted:
        """The submission that a request makes which is still waiting."""

        async def newest(connection: AsyncConnection) -> UUID | None:
            statement = text("SELECT deployment_id FROM state.submissions WHERE no > :after ORDER BY no DESC LIMIT 1")
            found: UUID | None = (await connection.execute(statement, {"after": after})).scalar_one_or_none()
            return found

        deployment_id = await self.log.wait_for(newest, timeout_seconds=PATIENCE_SECONDS)
        assert deployment_id is not None
        return await self.submitted(deployment_id)

    async def rows(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        async with self.log.reading() as connection:
            return list((await connection.execute(text(statement), parameters)).all())

    async def row(self, package_id: UUID) -> Row[Any]:
        [row] = await self.rows("SELECT * FROM state.packages WHERE package_id = :id", id=package_id)
        return row

    async def keys(self, prefix: str = "") -> list[str]:
        found = await self.objects._client.list_objects_v2(Bucket=self.objects.settings.bucket, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    async def unfinished_uploads(self) -> int:
        found = await self.objects._client.list_multipart_uploads(Bucket=self.objects.settings.bucket)
        return len(found.get("Uploads", []))

    def temporary(self) -> list[str]:
        return sorted(path.name for path in self.temp_dir.iterdir())

    async def nothing_left_but(self, told: PackageSubmitted) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.temporary() or await self.rows("SELECT key FROM state.leftovers"):  # noqa: ASYNC110 - the server side ends by itself
                await asyncio.sleep(0.02)
        assert await self.keys("staging/") == [told.object_key]

    async def nothing_left(self, *, events: int = 0) -> None:
        """After a refusal: no object, no temporary file, no note, no event."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.temporary() or await self.rows("SELECT key FROM state.leftovers"):  # noqa: ASYNC110 - the server side ends by itself
                await asyncio.sleep(0.02)
        assert await self.keys("staging/") == []
        assert await self.keys("sealed/") == []
        assert await self.unfinished_uploads() == 0
        [[found]] = await self.rows("SELECT count(*) FROM log.events")
        assert found == events


@asynccontextmanager
async def packages_running(
    database: Database, objects_settings: ObjectsSettings, temp_dir: Path, more: Mapping[str, Any], *, work: bool = True
) -> AsyncIterator[Packages]:
    values: dict[str, Any] = {
        "sealing_public_key": base64.b64encode(SEALING_KEY.public_key().public_bytes_raw()).decode(),
        "fingerprint_key": FINGERPRINT_KEY,
        "temp_dir": temp_dir,
        "PACKAGES_PUBLIC_URL": "https://your-app.com",
        "decision_wait_seconds": 0.0,
        "holder_wait_seconds": 0.2,
        "relay_backlog_seconds": 60.0,  # no relay runs here
    }
    settings = service_settings(Settings, database_url=database.url, **(values | dict(more)))
    service = build_service(settings, objects_settings)
    running = Running(service)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.log.close)
        for resource in service.resources:
            await stack.enter_async_context(resource)
        app = build_http(
            service.routes,
            verifier=verifier_of(service),
            metrics=service.metrics,
            stopping=running.stopping,
            idempotency=service.idempotency,
        )
        listener = Listener(app, drain_seconds=1.0)
        await listener.setup()
        stack.push_async_callback(listener.cleanup)
        running.port = await listener.listen("127.0.0.1", 0)
        http = await stack.enter_async_context(ClientSession())
        workers = [reader for reader in service.readers if isinstance(reader, Worker)]
        [sweep] = [reader for reader in service.readers if isinstance(reader, Sweep)]
        if work:
            for worker in workers:
                task = asyncio.create_task(worker.run())
                stack.push_async_callback(end, task)
        objects = service.resources[0]
        assert isinstance(objects, Objects)
        assert isinstance(sweep.leftovers, Leftovers)
        yield Packages(ServiceClient(running, http), service.log, objects, temp_dir, sweep, running)
