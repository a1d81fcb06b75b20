"""What the fleet does when a deployment is stopped at a bad moment: its end is always reached."""

import asyncio
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from pac.agentkit.apkg.verification import verify
from pac.agentkit.providers import NoProvider
from pac.agentkit.runtime.deployment import Status
from pac.agentkit.runtime.faults import DeploymentFailed
from pac.agentkit.runtime.fleet import Fleet
from pac.agentkit.runtime.isolation import Isolation
from pac.agentkit.runtime.places import Places
from pac.agentkit.runtime.settings import Settings
from pac.agentkit.runtime.unpack import Abandoned, unpack
from pac.agentkit.runtime.venvs import Venvs
from pac.agentkit.runtime.wire import DeployRequest

REQUEST = DeployRequest.model_validate(
    {
        "deploymentId": "d-1",
        "agentAppId": "app-1",
        "orgId": "org-1",
        "version": "1.0",
        "packageUrl": "http://127.0.0.1/p.apkg",
    }
)


class Given:
    """Stands where packages are fetched: hands out `data`, or fails."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data

    async def fetch(self, _request: DeployRequest, target: Path) -> None:
        if self.data is None:
            raise DeploymentFailed("no such package")
        target.write_bytes(self.data)


FleetOf = Callable[..., Fleet]


@pytest.fixture
def fleet_of(tmp_path: Path) -> FleetOf:
    def make(data: bytes | None = None, **more: Any) -> Fleet:
        places = Places(tmp_path / "state")
        places.open()
        isolation = Isolation("python", "3.11", None)
        return Fleet(
            settings=Settings.model_validate({"secret": "s", "state_dir": tmp_path / "state", **more}),
            places=places,
            isolation=isolation,
            source=Given(data),
            venvs=Venvs(places.venvs, isolation, {}, None, 1.0),
            provider=NoProvider(),
            base={},
            turns=asyncio.Semaphore(1),
        )

    return make


def large_package(megabytes: int) -> bytes:
    file = io.BytesIO()
    noise = bytes(range(256)) * 4096
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("manifest.json", '{"name": "a", "version": "1.0.0", "entrypoint": "src.main:handler"}')
        archive.writestr(".env", "A=1\n")
        for number in range(megabytes):
            archive.writestr(f"src/{number}.bin", noise)
    return file.getvalue()


def unpacking() -> bool:
    """Whether a thread of ours is in the middle of it."""
    return any(code_of(frame, unpack.__code__) for frame in sys._current_frames().values())


def code_of(frame: FrameType | None, code: CodeType) -> bool:
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


async def test_a_stop_in_the_middle_of_unpacking_ends_it_and_leaves_nothing(fleet_of: FleetOf) -> None:
    fleet = fleet_of(large_package(120))
    deployment = fleet.deploy(REQUEST)
    async with asyncio.timeout(20):
        while not unpacking():  # noqa: ASYNC110 - a thread's doing
            await asyncio.sleep(0.001)
    fleet.stop(deployment, "Stopped on request")
    async with asyncio.timeout(5):
        await deployment.ended.wait()
    assert not unpacking(), "a thread would hold up our own end"
    assert deployment.status is Status.STOPPED
    assert not fleet.places.agent(deployment.number).exists()
    assert not fleet.places.download(deployment.number).exists()


def test_what_is_given_up_says_so(tmp_path: Path) -> None:
    package = tmp_path / "p.apkg"
    package.write_bytes(large_package(1))
    with pytest.raises(Abandoned):
        unpack(package, tmp_path / "app", None, lambda: True)
    assert not (tmp_path / "app").exists()
    assert verify(package).problems == ()


async def test_a_stop_while_a_failed_one_is_cleaned_up_does_not_cut_that_short(fleet_of: FleetOf) -> None:
    fleet = fleet_of(None)
    deployment = fleet.deploy(REQUEST)
    async with asyncio.timeout(5):
        while deployment.status is not Status.FAILED:  # noqa: ASYNC110 - the next turn of the loop
            await asyncio.sleep(0)
    assert not deployment.is_over, "the clean-up is under way"
    fleet.stop(deployment, "Stopped on request")
    async with asyncio.timeout(5):
        await deployment.ended.wait()
    assert (deployment.status, deployment.message) == (Status.FAILED, "no such package")
    assert deployment.slot is None


async def test_what_is_forgotten_leaves_no_log(fleet_of: FleetOf) -> None:
    fleet = fleet_of(None, remembered=1)
    first = fleet.deploy(REQUEST)
    first.output.keep([first.output.add("stdout", b"hello")])
    await asyncio.wait_for(first.ended.wait(), 5)
    assert fleet.places.log(first.number).exists()
    second = fleet.deploy(REQUEST.model_copy(update={"deployment_id": "d-2"}))
    await asyncio.wait_for(second.ended.wait(), 5)
    assert list(fleet.deployments) == ["d-2"]
    assert not fleet.places.log(first.number).exists()
