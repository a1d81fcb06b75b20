"""Bytes that nobody needs go after a while; bytes that somebody needs never do, in no race and in no crash."""

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pac.contracts.base import Step
from pac.contracts.gateway import AgentAppDeleted
from pac.contracts.topics import ServiceName
from pac.eventlog import Cause
from pac.packages.collection import Collection
from pac.packages.contents import BeingCollected, Contents, object_lock, refer_to
from pac.packages.leftovers import Swept
from pac.packages.shelf import NewPackage
from pac.packages.submitting import Submitting
from pac.packages.unused import unused
from pac.servicekit.clock import utc_now
from pac.servicekit.objects import ObjectChanged, ObjectMissing, ObjectsUnavailable
from pac.testkit.eventually import eventually
from pac.testkit.service import Answer

from .harness import NOON, Packages, Tenant, apkg, damaged

DAY, NOW = timedelta(days=1), timedelta(0)


def collection_of(packages: Packages, grace: timedelta = NOW, **more: Any) -> Collection:
    return replace(packages.sweep.collection, grace=grace, **more)


async def swept(packages: Packages, grace: timedelta = NOW) -> None:
    """All that the sweep does, with everything old enough but what was put there a moment ago."""
    collection = collection_of(packages, grace)
    await replace(packages.sweep, collection=collection).once()
    await replace(packages.sweep, collection=collection, age=timedelta(seconds=-60)).once()


async def would_go(packages: Packages, grace: timedelta = NOW) -> set[str]:
    async with packages.log.reading() as connection:
        return {one.key for one in await unused(connection, utc_now() - grace)}


async def uploaded(packages: Packages, tenant: Tenant, package: bytes | None = None) -> UUID:
    answer = await packages.post(tenant, package or apkg(), to="")
    assert answer.status == 201, answer
    return UUID(answer.body["package"]["id"])


async def deleted(packages: Packages, tenant: Tenant, package_id: UUID, query: str = "") -> None:
    answer = await packages.call("DELETE", f"{tenant.path}/{package_id}{query}", tenant)
    assert answer.status == 200, answer


async def download(packages: Packages, tenant: Tenant, package_id: UUID) -> Answer:
    return await packages.call("GET", f"{tenant.path}/{package_id}/download", tenant)


async def app_deleted(packages: Packages, tenant: Tenant) -> None:
    event = AgentAppDeleted(account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id)
    await packages.hear(ServiceName.GATEWAY, f"app-{tenant.app_id}", event)


# ---- what goes -------------------------------------------------------------------------------------------------------


async def withdrawn_early(packages: Packages, tenant: Tenant) -> None:
    await packages.abort(await packages.deployed(tenant, apkg()))


async def withdrawn_late(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    await packages.stepped(told)
    await packages.abort(told)


async def rejected(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, damaged())
    await packages.order(told, Step.VALIDATE_PACKAGE)
    await packages.said(told.deployment_id, 2)
    await packages.abort(told)


async def deleted_by_its_owner(packages: Packages, tenant: Tenant) -> None:
    await deleted(packages, tenant, await uploaded(packages, tenant))


async def gone_with_its_app(packages: Packages, tenant: Tenant) -> None:
    await uploaded(packages, tenant)
    await app_deleted(packages, tenant)


ENDS = (withdrawn_early, withdrawn_late, rejected, deleted_by_its_owner, gone_with_its_app)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_what_nobody_needs_goes_when_its_time_is_over_and_not_before(
    packages: Packages, tenant: Tenant, end: Callable[[Packages, Tenant], Any]
) -> None:
    stays = await uploaded(packages, Tenant(), apkg("2.0.0"))
    await end(packages, tenant)
    before = set(await packages.keys())
    assert len(before) == 2
    await swept(packages, DAY)
    assert (set(await packages.keys()), await would_go(packages, DAY)) == (before, set())
    kept = (await packages.row(stays)).object_key
    assert await would_go(packages) == before - {kept}
    await swept(packages)
    assert (await packages.keys(), await would_go(packages)) == ([kept], set())
    for table in ("leftovers", "promotions", "collecting"):
        assert await packages.rows(f"SELECT 1 FROM state.{table}") == []  # noqa: S608 - names above


async def test_the_dry_run_counts_bytes_and_names_packages(packages: Packages, tenant: Tenant) -> None:
    package_id = await uploaded(packages, tenant)
    row = await packages.row(package_id)
    await deleted(packages, tenant, package_id)
    async with packages.log.reading() as connection:
        [one] = await unused(connection, utc_now())
    assert (one.key, one.size_bytes, one.package_ids) == (row.object_key, row.size_bytes, (package_id,))
    assert await packages.keys() == [row.object_key], "it only looks"


# ---- what stays ------------------------------------------------------------------------------------------------------


async def test_what_can_be_deployed_stays(packages: Packages, tenant: Tenant) -> None:
    await packages.deployed(tenant, apkg("1.0.0"))  # on its way
    await uploaded(packages, tenant, apkg("2.0.0"))
    newer = await packages.deployed(tenant, apkg("2.0.0", {"src/new.py": b"1"}), force_overwrite="true")
    await packages.stepped(newer)
    await packages.complete(newer)  # the one before is superseded
    before = await packages.keys()
    await collection_of(packages).once()
    assert (await packages.keys(), await would_go(packages)) == (before, set())


async def test_the_current_release_stays_after_its_package_was_deleted_until_another_is_current(
    packages: Packages, tenant: Tenant
) -> None:
    first = await packages.deployed(tenant, apkg("1.0.0"))
    await packages.stepped(first)
    await packages.complete(first, release=1)
    await deleted(packages, tenant, first.package_id, "?force=true")
    await collection_of(packages).once()
    key = f"packages/{tenant.account_id}/{first.sha256}"
    assert await packages.keys("packages/") == [key]
    second = await packages.deployed(tenant, apkg("2.0.0"))
    await packages.stepped(second)
    await packages.complete(second, release=2)
    assert await would_go(packages) == {key}
    await collection_of(packages).once()
    assert await packages.keys("packages/") == [f"packages/{tenant.account_id}/{second.sha256}"]


async def test_bytes_of_several_packages_go_with_the_last_of_them(packages: Packages, tenant: Tenant) -> None:
    other = Tenant(account_id=tenant.account_id)
    one, two = [await uploaded(packages, app) for app in (tenant, other)]
    [key] = await packages.keys()
    await deleted(packages, tenant, one)
    assert await would_go(packages) == set()
    assert await collection_of(packages).once() == 0
    assert await packages.keys() == [key]
    assert (await download(packages, other, two)).status == 302
    await deleted(packages, other, two)
    assert await would_go(packages) == {key}
    assert await collection_of(packages).once() == 1
    assert await packages.keys() == []
    assert (await packages.post(tenant, apkg(), to="")).status == 201
    assert await packages.keys() == [key]


async def test_a_withdrawn_package_can_be_retried_until_its_bytes_are_gone(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    await packages.abort(told)
    await swept(packages, DAY)
    retry = f"/api/deployments/{told.deployment_id}/retry"
    answer = await packages.call("POST", retry, tenant)
    assert answer.status == 202, answer
    again = await packages.submitted(UUID(answer.body["deployment"]["id"]))
    await swept(packages)
    assert (await packages.objects.head(told.object_key)).size_bytes == told.size_bytes, "it is in use"
    await packages.abort(again)
    await collection_of(packages).once()
    for method, path in (("POST", f"/api/deployments/{again.deployment_id}/retry"), ("GET", "")):
        gone = await packages.call(method, path or f"{tenant.path}/{told.package_id}/download", tenant)
        assert (gone.status, gone.body["code"]) == (409, "bytes_gone")


async def test_the_environment_of_a_deployment_goes_with_its_package(packages: Packages, tenant: Tenant) -> None:
    """A retry and a rollback bring it back, so it is needed for as long as one of them can come."""
    first = await packages.deployed(tenant, apkg("1.0.0"), environment='{"A": "1"}')
    assert first.environment is not None
    sealed = first.environment.object_key
    await packages.abort(first)
    retried = await packages.call("POST", f"/api/deployments/{first.deployment_id}/retry", tenant)
    again = await packages.submitted(UUID(retried.body["deployment"]["id"]))
    await packages.stepped(again)
    await packages.complete(again, release=1)
    await swept(packages)
    assert sealed in await packages.keys(), "the current release has it"
    await deleted(packages, tenant, first.package_id, "?force=true")
    await swept(packages)
    assert sealed in await packages.keys(), "it is still the current release"
    second = await packages.deployed(tenant, apkg("2.0.0"), environment='{"A": "2"}')
    await packages.stepped(second)
    await packages.complete(second, release=2)
    assert second.environment is not None
    await swept(packages, DAY)
    assert sealed in await packages.keys(), "for a day"
    async with packages.log.reading() as connection:
        listed = {one.key: one for one in await unused(connection, utc_now())}
    assert (listed[sealed].size_bytes, listed[sealed].package_ids) == (None, (first.package_id,))
    await swept(packages)
    assert await packages.keys("sealed/") == [second.environment.object_key]
    assert await would_go(packages) == set()


# ---- promotion -------------------------------------------------------------------------------------------------------


def contents_of(packages: Packages, lock: Callable[[str], str] = object_lock) -> Contents:
    return Contents(packages.log, packages.objects, utc_now, lock)


async def staged(packages: Packages, content: bytes) -> tuple[str, str]:
    """A staged object, and its sha256."""
    key = f"staging/{uuid4()}"
    await packages.objects.put_bytes(key, content)
    return key, hashlib.sha256(content).hexdigest()


async def test_what_is_promoted_is_copied_and_compared_also_where_something_is_already(packages: Packages) -> None:
    staging_key, sha256 = await staged(packages, b"content")
    contents, key = contents_of(packages), "packages/a/b"
    for there in (None, b"content", b"cut", b"kontent"):
        if there is not None:
            await packages.objects.put_bytes(key, there)
        await contents.promote(staging_key, key, sha256=sha256)
        assert await packages.objects.get_bytes(key) == await packages.objects.get_bytes(staging_key) == b"content"
    with pytest.raises(ObjectChanged):
        await contents.promote(staging_key, "packages/a/c", sha256="0" * 64)


async def test_what_a_crash_left_at_a_content_address_goes_and_what_is_on_its_way_stays(packages: Packages) -> None:
    staging_key, sha256 = await staged(packages, b"content")
    note = await contents_of(packages).promote(staging_key, "packages/a/b", sha256=sha256)
    await collection_of(packages).once()
    assert await packages.keys("packages/") == ["packages/a/b"]
    await collection_of(packages, age=timedelta(seconds=-60)).once()
    assert await packages.keys("packages/") == []
    with pytest.raises(Swept):
        async with packages.log.transaction(cause=Cause("test", uuid4())) as tx:
            await refer_to(tx.connection, note)


async def test_what_is_being_collected_is_not_relied_on(packages: Packages, tenant: Tenant) -> None:
    await deleted(packages, tenant, await uploaded(packages, tenant))
    [key] = await packages.keys()
    collection, holder = collection_of(packages), uuid4()
    assert await collection.decide(key, {tenant.app_id}, holder)
    refused = await packages.post(tenant, apkg(), to="")
    assert (refused.status, "Retry-After" in refused.headers) == (503, True)
    assert not await collection.remove(key, uuid4()), "that is for whoever has the lease"
    assert await collection.remove(key, holder)
    assert await packages.keys("packages/") == []
    assert (await packages.post(tenant, apkg(), to="")).status == 201


# ---- races -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def nothing_written_down(packages: Packages) -> AsyncIterator[None]:
    """Until the end of the context nobody can say that an object goes."""
    async with packages.log.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE state.collecting IN SHARE MODE"))
        yield


async def waits(packages: Packages, what: str) -> None:
    async with asyncio.timeout(10):
        while not await packages.rows(f"SELECT 1 FROM pg_locks WHERE NOT granted AND {what}"):  # noqa: ASYNC110, S608 - until Postgres has it so
            await asyncio.sleep(0.01)


def new_package(tenant: Tenant, key: str, sha256: str) -> NewPackage:
    return NewPackage(uuid4(), tenant.account_id, tenant.app_id, "1.0.0", sha256, 1, key, None, utc_now())


@pytest.mark.parametrize("is_locked", [True, False], ids=["under its lock", "without a lock"])
async def test_an_object_is_not_collected_while_somebody_comes_to_rely_on_it(
    packages: Packages, tenant: Tenant, *, is_locked: bool
) -> None:
    """Somebody promotes the same bytes between the collection's look and its word: the lock is what they meet at."""

    def lock(key: str) -> str:
        return object_lock(key) if is_locked else str(uuid4())

    first, other = await uploaded(packages, tenant), Tenant(account_id=tenant.account_id)
    key, sha256 = (await packages.row(first)).object_key, (await packages.row(first)).sha256
    await deleted(packages, tenant, first)
    staging_key, _ = await staged(packages, apkg())
    contents, new = contents_of(packages, lock), new_package(other, key, sha256)

    async def come() -> None:
        note = await contents.promote(staging_key, key, sha256=sha256)
        await Submitting(packages.log, utc_now).upload(
            new,
            described={},
            cause=Cause("test", uuid4()),
            locks=[lock(key)],
            then=lambda connection: refer_to(connection, note),
        )

    async def collect() -> bool:
        collection, holder = collection_of(packages, lock=lock), uuid4()
        return await collection.decide(key, {tenant.app_id}, holder) and await collection.remove(key, holder)

    async with nothing_written_down(packages):
        collecting = asyncio.create_task(collect())
        await waits(packages, "relation = 'state.collecting'::regclass")
        coming = asyncio.create_task(come())
        if is_locked:
            await waits(packages, "locktype = 'advisory'")
        else:
            await asyncio.wait_for(coming, 10)
    assert await collecting
    if is_locked:
        with pytest.raises(BeingCollected):
            await coming
        await come()
        assert (await packages.objects.head(key)).size_bytes
    else:
        with pytest.raises(ObjectMissing):
            await packages.objects.head(key)
        await packages.objects.put_bytes(key, apkg())


async def test_uploads_deletes_and_collections_at_once_lose_nothing(packages: Packages, tenant: Tenant) -> None:
    """All of the same bytes, in two apps of one account, until they have been collected a few times."""
    done, collected = asyncio.Event(), 0

    async def collect() -> None:
        nonlocal collected
        while not done.is_set():
            collected += await collection_of(packages).once()

    async def upload(app: Tenant) -> UUID:
        """Sent again while the same bytes are on their way out."""
        answer = await packages.post(app, apkg(), to="")
        if answer.status == 503:
            return await upload(app)
        assert answer.status == 201, answer
        return UUID(answer.body["package"]["id"])

    async def live(app: Tenant) -> None:
        while collected < 5:
            await deleted(packages, app, await upload(app))
        await upload(app)

    collecting = [asyncio.create_task(collect()) for _ in range(2)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(live(Tenant(account_id=tenant.account_id)) for _ in range(2)))
    done.set()
    await asyncio.gather(*collecting)
    [key] = await packages.keys("packages/")
    assert await packages.objects.get_bytes(key) == apkg()


@pytest.mark.parametrize("is_permitted", [True, False], ids=["with a permit", "without one"])
async def test_a_process_held_up_before_its_delete_takes_nothing_that_came_meanwhile(
    packages: Packages, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, *, is_permitted: bool
) -> None:
    """It had the lease, stood still until that was over, and only then does its delete arrive."""
    monkeypatch.setattr("pac.packages.collection.PERMIT_SECONDS", 1)
    await deleted(packages, tenant, await uploaded(packages, tenant))
    [key] = await packages.keys()
    held_up, holder = collection_of(packages), uuid4()
    assert await held_up.decide(key, {tenant.app_id}, holder)
    permit = await held_up.permitted(key, holder)
    assert permit is not None
    signed_at = time.monotonic()
    async with packages.log.reading() as connection:
        await connection.execute(text("UPDATE state.collecting SET leased_until = '-infinity'"))
    monkeypatch.setattr("pac.packages.collection.PERMIT_SECONDS", 300)
    assert await collection_of(packages).once() == 1
    await uploaded(packages, tenant)
    if not is_permitted:
        await packages.objects.delete(key)
        with pytest.raises(ObjectMissing):
            await packages.objects.head(key)
        await packages.objects.put_bytes(key, apkg())
        return
    await eventually(lambda: time.monotonic() - signed_at > 2.5)  # the store counts whole seconds
    with pytest.raises(ObjectsUnavailable, match="403"):
        await packages.objects.delete_permitted(key, permit)
    assert await packages.objects.get_bytes(key) == apkg()


# ---- crashes ---------------------------------------------------------------------------------------------------------


async def collected_by_a_process(packages: Packages, database_url: str, crash_at: str) -> int | None:
    """How a process ended that does one round, and is armed to end at a point of it."""
    settings = packages.objects.settings
    told = {
        "database_url": database_url,
        "objects": {
            "S3_ENDPOINT_URL": settings.endpoint_url,
            "S3_BUCKET": settings.bucket,
            "AWS_ACCESS_KEY_ID": settings.access_key_id,
            "AWS_SECRET_ACCESS_KEY": settings.secret_access_key.get_secret_value(),
        },
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("collecting_process.py"))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PAC_CRASH_POINTS": crash_at},
    )
    await asyncio.wait_for(process.communicate(json.dumps(told).encode()), 60)
    return process.returncode


@pytest.mark.parametrize("point", ["collection.before_delete", "collection.after_delete"])
async def test_after_a_crash_nothing_that_is_needed_is_lost_and_nothing_else_is_left(
    packages: Packages, tenant: Tenant, point: str
) -> None:
    kept = await uploaded(packages, tenant, apkg("2.0.0"))
    await deleted(packages, tenant, await uploaded(packages, tenant))
    url = packages.log.engine.url.render_as_string(hide_password=False)
    assert await collected_by_a_process(packages, url, point) == -signal.SIGKILL
    [(gone,)] = await packages.rows("SELECT key FROM state.collecting")
    assert (gone in await packages.keys()) is (point == "collection.before_delete")
    assert (await packages.post(tenant, apkg(), to="")).status == 503, "until it is known to be gone"
    assert await collection_of(packages).once() == 0, "whoever has died may still have the lease"
    async with packages.log.reading() as connection:
        await connection.execute(text("UPDATE state.collecting SET leased_until = '-infinity'"))
    assert await collection_of(packages).once() == 1
    assert await packages.rows("SELECT 1 FROM state.collecting") == []
    assert await packages.keys("packages/") == [(await packages.row(kept)).object_key]
    assert (await packages.post(tenant, apkg(), to="")).status == 201
