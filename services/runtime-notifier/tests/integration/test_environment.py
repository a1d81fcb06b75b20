"""Stored secrets where they are used: given to the runtime beneath the request's, explained, hidden where it speaks."""

from typing import TYPE_CHECKING
from uuid import uuid4

from pac.contracts.runtime_notifier import RuntimeFailed
from pac.testkit.fake_runtime import Script
from pac.testkit.notifier import Notifier

if TYPE_CHECKING:
    from conftest import Served


async def given(notifier: Notifier, number: int = -1) -> dict[str, str]:
    return dict(notifier.fake.posts[number]["environment"])


async def test_stored_secrets_are_given_beneath_the_requests_environment(served: "Served") -> None:
    notifier = served.notifier
    app, deployment = await notifier.app(), uuid4()
    await served.secrets("POST", app, json={"secrets": {"BOTH": "stored", "STORED": "stored"}})
    environment = notifier.sealed(deployment, {"BOTH": "request", "REQUEST": "request"})
    await notifier.notify(app, deployment, 1, environment=environment)
    await notifier.said(deployment, 1)
    assert await given(notifier) == {"BOTH": "request", "STORED": "stored", "REQUEST": "request"}


async def test_a_change_reaches_the_agent_with_the_next_giving(served: "Served") -> None:
    notifier, app = served.notifier, await served.notifier.app()
    await served.put(app, "TOKEN", "first value")
    deployment = await notifier.running(app, 1)
    await served.put(app, "TOKEN", "second value")
    assert await given(notifier) == {"TOKEN": "first value"}  # what runs is left alone
    notifier.fake.restart_empty()
    await notifier.reconciler.round()
    await notifier.serves(app, f"{deployment}-r")
    assert await given(notifier) == {"TOKEN": "second value"}


async def test_another_apps_secrets_are_not_given(served: "Served") -> None:
    notifier, app = served.notifier, await served.notifier.app()
    await served.put(uuid4(), "TOKEN", "of another app")
    await notifier.running(app, 1)
    assert await given(notifier) == {}


async def test_secrets_that_cannot_be_opened_end_the_delivery_with_a_reason_and_give_nothing(served: "Served") -> None:
    notifier = served.notifier
    app, deployment = await notifier.app(), uuid4()
    await served.put(app, "TOKEN", "hunter22")
    object.__setattr__(notifier.vault.ring, "keys", {})  # another process has another key
    await notifier.notify(app, deployment, 1)
    [failed] = await notifier.said(deployment, 1)
    assert isinstance(failed, RuntimeFailed)
    assert failed.reason.startswith("The app's stored secrets cannot be opened: the secrets of app ")
    assert not failed.retriable
    assert notifier.fake.posts == []


async def test_a_value_is_hidden_where_the_runtime_speaks_also_one_that_is_no_longer_in_force(
    served: "Served",
) -> None:
    notifier = served.notifier
    app, deployment = await notifier.app(), uuid4()
    await served.put(app, "TOKEN", "hunter22-first")
    script = Script(ends="failed", message="bad token hunter22-first, not hunter22-later", held=True)
    notifier.fake.script[str(deployment)] = script
    await notifier.notify(app, deployment, 1)

    async def is_given() -> bool:
        return bool(notifier.fake.posts)

    await notifier.until(is_given, "it is given")
    await served.put(app, "TOKEN", "hunter22-later")
    notifier.fake.release(str(deployment))
    [failed] = await notifier.said(deployment, 1)
    assert isinstance(failed, RuntimeFailed)
    assert failed.reason == "bad token ***, not ***"
    assert "hunter22" not in await notifier.everything_written()


async def test_the_layers_that_are_known_here_are_told_by_name(served: "Served") -> None:
    notifier, app = served.notifier, await served.notifier.app()
    path = f"/internal/agent-apps/{app}/layers"
    status, before = await served.call("GET", path, app=app)
    assert status == 200
    assert before == {
        "is_given": True,
        "deployment_id": None,
        "package_id": None,
        "environment_of": None,
        "request": [],
        "secrets_version": 0,
        "stored": [],
    }
    await served.put(app, "TOKEN", "hunter22")
    deployment = uuid4()
    await notifier.notify(app, deployment, 1, environment=notifier.sealed(deployment, {"LEVEL": "hunter22"}))
    await notifier.said(deployment, 1)
    await notifier.complete(app, deployment, 1)
    status, told = await served.call("GET", path, app=app)
    assert (status, told["deployment_id"], told["environment_of"]) == (200, str(deployment), str(deployment))
    assert told["package_id"] is not None
    assert (told["request"], [one["key"] for one in told["stored"]], told["secrets_version"]) == (
        ["LEVEL"],
        ["TOKEN"],
        1,
    )
    assert "hunter22" not in str(told)
    assert (await served.call("GET", path, app=uuid4()))[0] == 404
