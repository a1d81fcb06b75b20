"""Uploads near the limit: memory stays flat; and what a crash leaves is swept."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psutil

from pac.packages.sweep import remove_old_files
from pac.servicekit.objects import Objects

from .harness import Packages, Tenant

MIB = 1024 * 1024
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.apkg"\r\n\r\n'
TAIL = b"\r\n--x--\r\n"


async def test_a_hundred_megabytes_take_no_more_memory_than_thirty(packages: Packages, tenant: Tenant) -> None:
    process = psutil.Process()
    block = os.urandom(MIB)

    async def body(size: int) -> AsyncIterator[bytes]:
        yield HEAD
        for _ in range(size):
            yield block
        yield TAIL

    async def send(size: int) -> int:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await packages.call("POST", tenant.path + "/deploy", tenant, data=body(size), headers=headers)
        assert answer.status == 400
        assert answer.body["details"] == ["Invalid APKG format"]
        return process.memory_info().rss

    async def watched(size: int) -> int:
        sending = asyncio.create_task(send(size))
        peak = 0
        while not sending.done():
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(0.01)
        await sending
        return peak

    await watched(30)
    small = await watched(30)  # pools, parts in flight and threads are there now
    assert await watched(99) - small < 30 * MIB
    await packages.nothing_left()


async def test_the_sweep_removes_what_a_crash_left_and_nothing_else(
    packages: Packages, tenant: Tenant, objects: Objects
) -> None:
    from .harness import apkg  # noqa: PLC0415 - used here only

    told = await packages.deployed(tenant, apkg())
    lost = f"staging/{uuid4()}"
    await packages.sweep.leftovers.note(lost)
    await objects.put_bytes(lost, b"x")
    await packages.sweep.once()
    assert set(await packages.keys()) == {lost, told.object_key}
    await replace(packages.sweep, age=timedelta(seconds=-60)).once()
    assert await packages.keys() == [told.object_key]
    assert await packages.rows("SELECT key FROM state.leftovers") == []


async def test_the_sweep_ends_an_upload_that_a_crash_left(packages: Packages, objects: Objects) -> None:
    """By the age of its note: the server may say of every upload that it has just begun."""
    lost = f"staging/{uuid4()}"
    await packages.sweep.leftovers.note(lost)
    bucket = objects.settings.bucket
    await objects._client.create_multipart_upload(Bucket=bucket, Key=lost)
    assert await packages.sweep.leftovers.sweep(lost, timedelta(0))
    assert not (await objects._client.list_multipart_uploads(Bucket=bucket)).get("Uploads")


async def test_old_temporary_files_go_and_others_stay(packages: Packages) -> None:
    old, new, other = (packages.temp_dir / name for name in ("upload-1.apkg", "step-2.apkg", "notes.txt"))
    for path in (old, new, other):
        path.write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    assert remove_old_files(packages.temp_dir, timedelta(hours=1)) == 1
    assert packages.temporary() == ["notes.txt", "step-2.apkg"]
