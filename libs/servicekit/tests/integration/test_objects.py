"""Against a real S3 server."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from pac.cli.local.ports import free_port
from pac.servicekit.objects import ObjectChanged, ObjectMissing, Objects, ObjectsSettings, ObjectsUnavailable
from pac.testkit.chaos.faulty_s3 import Error, FaultyS3, faulty_s3
from pac.testkit.chaos.schedule import draws

MIB = 1024 * 1024


async def pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def open_uploads(objects: Objects) -> int:
    answer = await objects._client.list_multipart_uploads(Bucket=objects.settings.bucket)
    return len(answer.get("Uploads", []))


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 8 * MIB, 8 * MIB + 1, 20 * MIB])
async def test_a_stream_of_any_size_is_stored_whole_with_its_hash(objects: Objects, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    stored = await objects.put_stream("staging/a b", pieces(content))
    assert (stored.size_bytes, stored.sha256) == (size, hashlib.sha256(content).hexdigest())
    found = await objects.get_to_file("staging/a b", tmp_path / "found", sha256=stored.sha256)
    assert (tmp_path / "found").read_bytes() == content
    assert found.size_bytes == (await objects.head("staging/a b")).size_bytes == size


async def test_at_most_three_parts_are_in_memory(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.part_bytes = 5 * MIB
    flying = most = 0
    original = objects._client.upload_part

    async def counted(**how: Any) -> Any:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        try:
            await asyncio.sleep(0.05)
            return await original(**how)
        finally:
            flying -= 1

    monkeypatch.setattr(objects._client, "upload_part", counted)
    await objects.put_stream("many", pieces(bytes(40 * MIB), MIB))
    assert most == 2


async def test_a_stream_that_breaks_leaves_neither_object_nor_upload(objects: Objects) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(9 * MIB)
        raise ConnectionResetError("the client has left")

    with pytest.raises(ConnectionResetError):
        await objects.put_stream("broken", breaking())
    with pytest.raises(ObjectMissing):
        await objects.head("broken")
    assert await open_uploads(objects) == 0


async def test_a_cancelled_stream_leaves_nothing_either(objects: Objects) -> None:
    begun = asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield bytes(9 * MIB)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(objects.put_stream("hanging", hanging()))
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await open_uploads(objects) == 0


async def test_until_a_part_is_full_the_store_is_asked_for_nothing(objects: Objects) -> None:
    """So a client that sends a byte a second costs the store nothing; what was small is stored by one request."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(7 * MIB)
        begun.set()
        await go_on.wait()
        yield b"end"

    task = asyncio.create_task(objects.put_stream("slow", slow()))
    await asyncio.wait_for(begun.wait(), 20)
    assert await open_uploads(objects) == 0
    go_on.set()
    stored = await task
    assert await objects.head("slow") == stored, "a multipart upload has no hash of its own"


async def test_the_sweep_ends_only_old_uploads(objects: Objects) -> None:
    for key in ("old", "older"):
        await objects._client.create_multipart_upload(Bucket=objects.settings.bucket, Key=key)
    assert await objects.sweep_uploads(older_than=timedelta(hours=1)) == 0
    assert await open_uploads(objects) == 2
    assert await objects.sweep_uploads(older_than=timedelta(seconds=-5)) == 2
    assert await open_uploads(objects) == 0


async def test_what_is_abandoned_is_gone_however_far_it_had_come(objects: Objects) -> None:
    """Whoever knows the key also knows how old it is: some servers do not say it of an upload."""
    for key in ("begun", "begun", "begun-too"):
        await objects._client.create_multipart_upload(Bucket=objects.settings.bucket, Key=key)
    await objects.put_bytes("begun", b"content")
    await objects.abandon("begun")
    await objects.abandon("never begun")
    with pytest.raises(ObjectMissing):
        await objects.head("begun")
    assert await open_uploads(objects) == 1


async def test_a_copy_is_checked(objects: Objects) -> None:
    sha256 = hashlib.sha256(b"content").hexdigest()
    await objects.put_bytes("from", b"content")
    assert (await objects.copy("from", "to", sha256=sha256)).size_bytes == 7
    assert await objects.get_bytes("to") == await objects.get_bytes("from") == b"content"
    await objects.put_bytes("from", b"kontent")
    with pytest.raises(ObjectChanged):
        await objects.copy("from", "to", sha256=sha256)
    with pytest.raises(ObjectMissing):
        await objects.copy("nowhere", "to", sha256=sha256)


async def test_an_object_that_is_not_what_was_stored_leaves_no_file(objects: Objects, tmp_path: Path) -> None:
    await objects.put_bytes("swapped", b"other")
    with pytest.raises(ObjectChanged):
        await objects.get_to_file("swapped", tmp_path / "file", sha256=hashlib.sha256(b"content").hexdigest())
    assert not (tmp_path / "file").exists()
    with pytest.raises(ObjectChanged):
        await objects.get_bytes("swapped", max_bytes=4)


async def test_deleting_twice_is_deleting_once(objects: Objects) -> None:
    await objects.put_bytes("gone", b"x")
    await objects.delete("gone")
    await objects.delete("gone")
    with pytest.raises(ObjectMissing):
        await objects.get_bytes("gone")


async def test_only_the_signed_address_lets_a_stranger_read(objects: Objects) -> None:
    await objects.put_bytes("packages/a b.apkg", b"content")
    async with ClientSession() as stranger:
        async with stranger.get(await objects.presigned_get("packages/a b.apkg", 60)) as answer:
            assert (answer.status, await answer.read()) == (200, b"content")
        async with stranger.get(objects.url("packages/a b.apkg")) as answer:
            assert answer.status in {403, 404}


async def test_addresses_show_the_public_host(objects_settings: ObjectsSettings) -> None:
    public = objects_settings.model_copy(update={"public_endpoint_url": "https://s3.example.com"})
    async with Objects(public) as objects:
        assert objects.url("a/b c") == f"https://s3.example.com/{public.bucket}/a/b%20c"
        assert (await objects.presigned_get("a", 60)).startswith(f"https://s3.example.com/{public.bucket}/a?")


async def test_a_store_that_is_away_is_an_oserror(objects_settings: ObjectsSettings) -> None:
    away = objects_settings.model_copy(update={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
    async with Objects(away) as objects:
        for call in (objects.put_bytes("a", b"x"), objects.head("a"), objects.check(), objects.delete("a")):
            with pytest.raises(ObjectsUnavailable):
                await call
    assert issubclass(ObjectsUnavailable, OSError)


class LosesOneAnswer(FaultyS3):
    """Completes the first upload and says nothing of it."""

    def error_of(self, request: web.Request) -> Error | None:
        is_completion = request.method == "POST" and "uploadId" in request.query
        return Error.UNHEARD if is_completion and not self.counted[Error.UNHEARD] else None


async def test_an_upload_whose_completion_went_unheard_is_an_outage(objects_settings: ObjectsSettings) -> None:
    """The client asks again, and is told that there is no such upload: it is done, or it is not."""
    async with faulty_s3(objects_settings.endpoint_url, draws(0), LosesOneAnswer) as proxy:
        behind = objects_settings.model_copy(update={"endpoint_url": proxy.endpoint})
        async with Objects(behind, part_bytes=len(b"content")) as objects:
            with pytest.raises(ObjectsUnavailable):
                await objects.put_stream("unheard", pieces(b"content"))
            assert proxy.counted[Error.UNHEARD] == 1
            assert (await objects.put_stream("unheard", pieces(b"content"))).size_bytes == 7


async def test_what_is_there_passes_the_check(objects: Objects) -> None:
    await objects.check()


async def test_a_bucket_is_made_once(objects_settings: ObjectsSettings) -> None:
    fresh = objects_settings.model_copy(update={"bucket": f"{objects_settings.bucket}-fresh"})
    async with Objects(fresh) as objects:
        assert [await objects.ensure_bucket(), await objects.ensure_bucket()] == [True, False]
        await objects.check()
