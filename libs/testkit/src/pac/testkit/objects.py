"""One real S3 server for a test run; a bucket of its own for each test."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest_asyncio

from pac.cli.local.stack import LocalStack

if TYPE_CHECKING:  # the AWS library takes a second to load, which tests without it should not wait for
    from pac.servicekit.objects import Objects, ObjectsSettings


@dataclass(frozen=True)
class ObjectsServer:
    stack: LocalStack

    def settings(self, bucket: str) -> "ObjectsSettings":
        """Settings of a bucket, which is made if it is new."""
        from pac.servicekit.objects import ObjectsSettings  # noqa: PLC0415 - see above

        self.stack.ensure_bucket(bucket)
        server = self.stack.s3_settings
        return ObjectsSettings.model_validate(
            {
                "S3_ENDPOINT_URL": server.endpoint,
                "S3_BUCKET": bucket,
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
                "AWS_REGION": server.region,
            }
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def objects_server() -> AsyncIterator[ObjectsServer]:
    folder = Path(tempfile.mkdtemp(prefix="pac-objects-"))
    try:
        async with LocalStack(folder, postgres=False, kafka=False) as stack:
            yield ObjectsServer(stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def objects_settings(objects_server: ObjectsServer) -> "ObjectsSettings":
    return objects_server.settings(f"test-{uuid4().hex[:12]}")


@pytest_asyncio.fixture(loop_scope="session")
async def objects(objects_settings: "ObjectsSettings") -> AsyncIterator["Objects"]:
    """An empty bucket."""
    from pac.servicekit.objects import Objects  # noqa: PLC0415 - see above

    async with Objects(objects_settings) as made:
        yield made
