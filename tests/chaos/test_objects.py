"""S3 errs under load: `make test-chaos`. PAC_CHAOS_DEPLOYMENTS lowers it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from pac.cli.local.stack import LocalStack
from pac.servicekit.objects import ObjectChanged, ObjectMissing, Objects, ObjectsSettings
from pac.testkit.chaos import Bench, Row, Scene, Show, bench, seed_of, under
from pac.testkit.chaos.faulty_s3 import FaultyS3, faulty_s3
from pac.testkit.chaos.schedule import draws
from pac.testkit.holds import Figure
from pac.testkit.whole import PACKAGES, World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
ERRORS, STALLS = 0.3, 0.02
OF_DEPLOYMENT = """
SELECT p.object_key, p.sha256 FROM state.submissions s JOIN state.packages p USING (package_id)
WHERE s.deployment_id = %s
"""


@dataclass
class WithS3:
    """The bench's S3 behind the proxy; `objects` asks the server itself."""

    proxy: FaultyS3
    objects: Objects
    checked: set[str] = field(default_factory=set)

    async def fault_of(self, world: World, deployment: str) -> str | None:
        """Why what is said of a completed deployment is not so."""
        self.checked.add(deployment)
        [(key, sha256)] = await world.rows(PACKAGES, OF_DEPLOYMENT, deployment)
        try:
            found = hashlib.sha256(await self.objects.get_bytes(key)).hexdigest()
        except (ObjectMissing, ObjectChanged) as fault:
            return f"{deployment} is completed, its object {key}: {fault!r}"
        return None if found == sha256 else f"{deployment} is completed, its object has sha256 {found}, not {sha256}"


@asynccontextmanager
async def with_s3(folder: Path, random: Random) -> AsyncIterator[tuple[Bench, WithS3]]:
    async with LocalStack(folder / "s3", postgres=False, kafka=False) as stack:
        real = stack.s3_settings
        names = {
            "S3_BUCKET": real.bucket,
            "AWS_ACCESS_KEY_ID": real.access_key,
            "AWS_SECRET_ACCESS_KEY": real.secret_key,
            "AWS_REGION": real.region,
        }
        direct = ObjectsSettings.model_validate({**names, "S3_ENDPOINT_URL": real.endpoint})
        async with (
            faulty_s3(real.endpoint, random) as proxy,
            Objects(direct) as objects,
            bench(folder, environment={**names, "S3_ENDPOINT_URL": proxy.endpoint}) as running,
        ):
            yield running, WithS3(proxy, objects)


async def test_objects_that_err_and_stall(tmp_path: Path, show: Show) -> None:
    row = Row(
        "objects",
        "30 % of the requests to S3 fail, 2 % stall for 10 s",
        200,
        "the laws; no `completed` without its object at the right sha256",
    )
    random = draws(seed_of())
    found: list[WithS3] = []
    checks: list[Callable[[], Awaitable[None]]] = []

    @asynccontextmanager
    async def running() -> AsyncIterator[Bench]:
        async with with_s3(tmp_path, random) as (ground, s3):
            found.append(s3)
            yield ground
            for check in checks:  # what has ended since
                await check()

    async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
        [s3], load, world = found, scene.load, World.of(scene.ground.pac.status)
        s3.proxy.errors, s3.proxy.stalls = ERRORS, STALLS

        async def check() -> None:
            """As soon as somebody is told, it must be true."""
            ended = [one for one, about in load.accepted.items() if about.end.get("status") == "completed"]
            for one in ended:
                if one not in s3.checked and (fault := await s3.fault_of(world, one)) is not None:
                    load.fault(fault)

        checks.append(check)

        async def have_ended() -> bool:
            first = list(load.accepted.items())[: row.lowered]
            for one in [one for one, about in first if not about.end]:
                await load.look_at(one)
            return len(first) == row.lowered and all(about.end for _, about in first)

        while not await have_ended():
            await check()
            await asyncio.sleep(0.2)
        await check()
        scene.ground.note("no more errors")
        s3.proxy.calm()
        # An upload whose beginning went unheard was begun twice. A sweep finds the first by its age, which this server
        # does not know: it calls every upload new.
        unheard = await s3.objects.sweep_uploads(older_than=timedelta(minutes=-1))
        counted = s3.proxy.counted
        errors = sum(count for what, count in counted.items() if what not in ("requests", "stalls"))
        return {
            "completed meanwhile": len(s3.checked),
            "requests": counted["requests"],
            "errors": errors,
            "stalls": counted["stalls"],
            "uploads begun twice": unheard,
        }

    await show(under(row, tmp_path, running(), faults, good_may_fail=True))
