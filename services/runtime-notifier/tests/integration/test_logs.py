"""What agents print, over HTTP: bounded, without known values, followed without gap or double, or a clear refusal."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from pac.testkit.fake_runtime import Script

if TYPE_CHECKING:
    from conftest import Served

STREAM = {"Accept": "text/event-stream"}


async def running(served: "Served", *, environment: dict[str, str] | None = None) -> UUID:
    notifier, deployment = served.notifier, uuid4()
    app = await notifier.app()
    sealed = notifier.sealed(deployment, environment) if environment else None
    await notifier.notify(app, deployment, 1, environment=sealed)
    await notifier.said(deployment, 1)
    return deployment


def path_of(deployment: UUID) -> str:
    return f"/api/deployments/{deployment}/logs"


async def test_a_page_has_the_newest_lines(served: "Served") -> None:
    deployment = await running(served)
    served.notifier.fake.prints(f"{deployment}-a1", "one", "two")
    status, body = await served.call("GET", path_of(deployment) + "?limit_bytes=1000")
    assert status == 200
    assert (body["deployment_id"], body["truncated"]) == (str(deployment), False)
    assert [(line["stream"], line["text"]) for line in body["lines"]] == [("stdout", "one"), ("stdout", "two")]
    assert served.notifier.fake.asked_bytes == [1000]


async def test_known_values_are_taken_out(served: "Served") -> None:
    deployment = await running(served, environment={"TOKEN": "hunter22"})
    served.notifier.fake.prints(f"{deployment}-a1", "the token is hunter22", "x" + served.notifier.fake.secret)
    _, body = await served.call("GET", path_of(deployment))
    assert [line["text"] for line in body["lines"]] == ["the token is ***", "x***"]


async def test_what_cannot_be_hidden_any_more_is_withheld(served: "Served") -> None:
    deployment = await running(served, environment={"TOKEN": "hunter22"})
    served.notifier.fake.prints(f"{deployment}-a1", "the token is hunter22")
    served.notifier.store.objects.clear()
    status, body = await served.call("GET", path_of(deployment))
    assert (status, body["code"]) == (409, "no_logs")
    assert body["error"].startswith("The output is withheld")


async def test_another_accounts_deployment_is_as_unknown_as_any(served: "Served") -> None:
    deployment = await running(served)
    answers = [await served.call("GET", path_of(one), account=uuid4()) for one in (deployment, uuid4())]
    for status, body in answers:
        assert (status, body["error"]) == (404, "Deployment not found")


async def test_a_runtime_without_logs_and_one_that_forgot_are_told_apart(served: "Served") -> None:
    deployment, fake = await running(served), served.notifier.fake
    fake.gives_logs = False
    status, body = await served.call("GET", path_of(deployment))
    assert (status, body["code"], body["error"]) == (409, "no_logs", "This runtime gives no output of its agents")
    fake.gives_logs = True
    fake.restart_empty()
    status, body = await served.call("GET", path_of(deployment))
    assert (status, body["code"]) == (409, "no_logs")
    assert body["error"] == "The runtime no longer keeps the output of this deployment"


@pytest.mark.parametrize("limit", ["0", "65537", "-1", "x", "1e3"])
async def test_a_limit_is_a_number_within_bounds(served: "Served", limit: str) -> None:
    status, body = await served.call("GET", path_of(uuid4()) + f"?limit_bytes={limit}")
    assert (status, body["details"]) == (400, ["limit_bytes: a whole number from 1 to 65536"])


# ---- followed --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def followed(served: "Served", deployment: UUID, last: str | None = None) -> AsyncIterator[Any]:
    path = path_of(deployment)
    headers = served.signed("GET", path, UUID(int=1), None) | STREAM | ({"Last-Event-ID": last} if last else {})
    async with asyncio.timeout(20), served.http.get(path, headers=headers) as response:
        yield response


async def messages(response: Any, count: int) -> list[tuple[str, str]]:
    """The next ones: id and text."""
    found: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    while len(found) < count:
        line = (await response.content.readline()).decode()
        assert line, f"the stream ended after {found}"
        if line == "\n" and "data" in fields:
            found.append((fields["id"], json.loads(fields["data"])["text"]))
            fields = {}
        name, _, value = line.rstrip("\n").partition(": ")
        fields[name] = value
    return found


async def test_whoever_follows_sees_what_comes_and_the_end(served: "Served") -> None:
    deployment, fake = await running(served), served.notifier.fake
    wire = f"{deployment}-a1"
    fake.prints(wire, "one")
    async with followed(served, deployment) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert [text for _, text in await messages(response, 1)] == ["one"]
        fake.prints(wire, "two", "three")
        assert [text for _, text in await messages(response, 2)] == ["two", "three"]
        fake.prints(wire, "last words")
        fake.known[wire].status = "stopped"
        assert [text for _, text in await messages(response, 1)] == ["last words"]
        assert (await response.content.read()).strip() == b""


async def test_whoever_comes_back_goes_on_where_they_were(served: "Served") -> None:
    deployment, fake = await running(served), served.notifier.fake
    wire = f"{deployment}-a1"
    fake.prints(wire, "one", "two", "three")
    async with followed(served, deployment) as response:
        [(first, _)] = await messages(response, 1)
    async with followed(served, deployment, last=first) as response:
        rest = await messages(response, 2)
    assert [text for _, text in rest] == ["two", "three"]
    fake.known[wire].status = "stopped"
    async with followed(served, deployment, last=rest[-1][0]) as response:
        assert response.status == 204


async def test_silence_has_a_sign_of_life(served: "Served") -> None:
    deployment = await running(served)
    async with followed(served, deployment) as response:
        await response.content.readuntil(b": still here\n\n")


async def test_an_ending_process_ends_its_streams(served: "Served") -> None:
    deployment = await running(served)
    async with followed(served, deployment) as response:
        served.stopping.set()
        assert b"line" not in await response.content.read()


async def test_too_many_followers_of_an_account_are_refused(served: "Served") -> None:
    deployment = await running(served)
    async with followed(served, deployment), followed(served, deployment), followed(served, deployment) as third:
        assert third.status == 429
        assert third.headers["Retry-After"] == "5"


@pytest.mark.parametrize("last", ["x", "2026-11-25T12:00:00Z/x", "2026-11-25T12:00:00/1"])
async def test_a_place_that_is_none_is_refused(served: "Served", last: str) -> None:
    deployment = await running(served)
    async with followed(served, deployment, last=last) as response:
        assert response.status == 400


async def test_the_output_of_one_that_failed_is_there(served: "Served") -> None:
    notifier, deployment = served.notifier, uuid4()
    notifier.fake.script[str(deployment)] = Script(ends="failed")
    await notifier.notify(await notifier.app(), deployment, 1)
    await notifier.said(deployment, 1)
    notifier.fake.prints(f"{deployment}-a1", "Traceback")
    _, body = await served.call("GET", path_of(deployment))
    assert [line["text"] for line in body["lines"]] == ["Traceback"]
