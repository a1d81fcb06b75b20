"""The client of the contract against a runtime of good and of bad manners, over real sockets."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio
from pydantic import SecretStr

from pac.runtime_notifier.runtime import (
    Accepted,
    CannotStop,
    Health,
    Package,
    RefusedByRuntime,
    Runtime,
    StopTaken,
    Unclear,
    Unknown,
)
from pac.testkit.fake_runtime import FakeRuntime, Known, Manners, Script, fake_runtime

APP = UUID(int=3)
URL = "http://127.0.0.1:9000/bucket/x.apkg?X-Amz-Signature=5e1f"
PACKAGE = Package(
    wire_id="d-a1",
    account_id=UUID(int=1),
    agent_app_id=APP,
    version="1.2.3",
    url=SecretStr(URL),
    sha256="0" * 64,
    force_refresh=True,
    environment={"TOKEN": SecretStr("hunter22")},
)


@pytest_asyncio.fixture(loop_scope="session")
async def fake() -> AsyncIterator[FakeRuntime]:
    async with fake_runtime() as runtime:
        yield runtime


def client_of(fake: FakeRuntime, *, secret: str | None = None, timeout_seconds: float = 5.0) -> Runtime:
    return Runtime(fake.url, SecretStr(secret or fake.secret), timeout_seconds=timeout_seconds, answer_max_bytes=65_536)


@pytest_asyncio.fixture(loop_scope="session")
async def runtime(fake: FakeRuntime) -> AsyncIterator[Runtime]:
    async with client_of(fake) as client:
        yield client


async def test_the_contract_to_the_letter(fake: FakeRuntime, runtime: Runtime) -> None:
    assert await runtime.deploy(PACKAGE) == Accepted()
    assert fake.posts == [
        {
            "deploymentId": "d-a1",
            "agentAppId": str(APP),
            "orgId": str(UUID(int=1)),
            "version": "1.2.3",
            "packageUrl": URL,
            "packageSha256": "0" * 64,
            "forceRefresh": True,
            "environment": {"TOKEN": "hunter22"},
        }
    ]
    assert fake.headers[0]["Idempotency-Key"] == "d-a1"
    assert fake.headers[0]["Authorization"] == "Bearer runtime-secret"


async def test_a_package_shows_neither_its_address_nor_its_environment() -> None:
    assert "5e1f" not in repr(PACKAGE)
    assert "hunter22" not in repr(PACKAGE)


async def test_health_goes_from_unknown_over_loading_to_healthy(runtime: Runtime) -> None:
    assert await runtime.health("d-a1") == Unknown()
    await runtime.deploy(PACKAGE)
    assert await runtime.health("d-a1") == Health("loading", healthy=False, message=None)
    assert await runtime.health("d-a1") == Health("healthy", healthy=True, message=None)


async def test_healthy_in_one_word_only_is_not_healthy(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.script["d"] = Script(ends="half", looks=0)
    await runtime.deploy(PACKAGE)
    health = await runtime.health("d-a1")
    assert isinstance(health, Health)
    assert not health.healthy


@pytest.mark.parametrize(
    "manners",
    [
        Manners.CLOSES,
        Manners.TAKES_THEN_CLOSES,
        Manners.HUGE_ANSWER,
        Manners.LIES_ABOUT_IDS,
        Manners.NOT_JSON,
    ],
)
async def test_what_is_not_clearly_answered_is_unclear(fake: FakeRuntime, runtime: Runtime, manners: Manners) -> None:
    fake.script["d"] = Script(manners=manners)
    assert isinstance(await runtime.deploy(PACKAGE), Unclear)


@pytest.mark.parametrize(
    "manners", [Manners.CLOSES, Manners.HUGE_ANSWER, Manners.LIES_ABOUT_IDS, Manners.NOT_JSON, Manners.REDIRECTS]
)
async def test_a_health_that_is_not_clearly_told_is_unclear(
    fake: FakeRuntime, runtime: Runtime, manners: Manners
) -> None:
    await runtime.deploy(PACKAGE)
    fake.script["d"] = Script(of_health=manners)
    assert isinstance(await runtime.health("d-a1"), Unclear)
    assert fake.redirected == 0


async def test_a_runtime_that_hangs_is_not_waited_for_longer_than_the_timeout(fake: FakeRuntime) -> None:
    fake.script["d"] = Script(manners=Manners.HANGS)
    async with client_of(fake, timeout_seconds=0.2) as client:
        assert await client.deploy(PACKAGE) == Unclear("the runtime did not answer in time")


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408, 409])
async def test_trouble_of_the_moment_is_unclear(fake: FakeRuntime, runtime: Runtime, status: int) -> None:
    fake.script["d"] = Script(errors=(status,))
    assert isinstance(await runtime.deploy(PACKAGE), Unclear)
    assert await runtime.deploy(PACKAGE) == Accepted()


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422])
async def test_a_refusal_is_final(fake: FakeRuntime, runtime: Runtime, status: int) -> None:
    fake.script["d"] = Script(errors=(status,))
    refusal = await runtime.deploy(PACKAGE)
    assert isinstance(refusal, RefusedByRuntime)
    assert not refusal.retriable
    assert str(status) in refusal.reason


async def test_a_wrong_secret_is_told_as_one(fake: FakeRuntime) -> None:
    async with client_of(fake, secret="another") as client:
        refusal = await client.deploy(PACKAGE)
    assert isinstance(refusal, RefusedByRuntime)
    assert refusal.reason == "The runtime refuses our credentials (403): see RUNTIME_NOTIFIER_RUNTIME_SECRET"


async def test_a_redirect_is_never_followed(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.script["d"] = Script(manners=Manners.REDIRECTS)
    assert isinstance(await runtime.deploy(PACKAGE), RefusedByRuntime)
    assert fake.redirected == 0


async def test_nobody_there_is_unclear() -> None:
    async with Runtime("http://127.0.0.1:9", None, timeout_seconds=2.0, answer_max_bytes=1024) as client:
        answer = await client.health("d-a1")
        assert isinstance(answer, Unclear)
        assert "127.0.0.1" not in answer.why


async def test_a_wire_id_cannot_leave_its_path(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.known["../x"] = Known(str(APP), {}, status="healthy")
    assert isinstance(await runtime.health("../x"), Health)


async def test_stop_where_there_is_one_and_where_there_is_none(fake: FakeRuntime, runtime: Runtime) -> None:
    await runtime.deploy(PACKAGE)
    assert await runtime.stop("d-a1") == StopTaken()
    fake.stops_deployments = False
    assert await runtime.stop("d-a1") == CannotStop()
