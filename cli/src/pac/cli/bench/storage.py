"""What a deployment's bytes cost in any case: stored, copied, read back, and looked into twice."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from pac.cli.bench.customers import Shop
from pac.cli.bench.ground import Ground
from pac.packages.checker import Checker, CheckLimits
from pac.servicekit.objects import ObjectMissing, Objects, ObjectsSettings


@dataclass(frozen=True)
class Storage:
    objects: Objects
    checker: Checker
    path: Path
    content: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    async def once(self) -> float:
        """Seconds of the calls that packages makes for one deployment, one after the other."""
        key, copy = f"bench/{uuid4()}", f"bench/{uuid4()}"
        began = time.perf_counter()
        await self.objects.put_stream(key, _whole(self.content))
        await self.checker.inspect(self.path)
        await self.objects.get_to_file(key, self.path)
        await self.checker.verify(self.path)
        with suppress(ObjectMissing):
            await self.objects.expect(copy, sha256=self.sha256)
        await self.objects.copy(key, copy, sha256=self.sha256)
        seconds = time.perf_counter() - began
        for one in (key, copy):
            await self.objects.delete(one)
        return seconds


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def settings_of(ground: Ground) -> ObjectsSettings:
    s3 = ground.stack.s3_settings
    return ObjectsSettings.model_validate(
        {
            "S3_ENDPOINT_URL": s3.endpoint,
            "S3_BUCKET": s3.bucket,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_REGION": s3.region,
        }
    )


@asynccontextmanager
async def storage(ground: Ground, shop: Shop) -> AsyncIterator[Storage]:
    path = shop.folder / "stored.apkg"
    content = shop.package("1.0.0")
    path.write_bytes(content)
    async with Objects(settings_of(ground)) as objects, Checker(CheckLimits()) as checker:
        yield Storage(objects, checker, path, content)
