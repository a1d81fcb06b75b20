"""Deliveries to a scripted runtime: the right event, once, whatever the runtime does."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from pac.contracts.runtime_notifier import RuntimeAway, RuntimeBack, RuntimeFailed, RuntimeReady
from pac.eventlog import AlreadySeen, TooEarly
from pac.runtime_notifier.watching import Pace
from pac.testkit.fake_runtime import Manners, Script
from pac.testkit.notifier import SIGNATURE, MakeNotifier, Notifier


async def test_a_healthy_runtime_is_told_once(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    message = await notifier.notify(app_id, deployment_id, 1)
    [ready] = await notifier.said(deployment_id, 1)
    assert isinstance(ready, RuntimeReady)
    assert (ready.attempt, ready.agent_app_id) == (1, app_id)
    with pytest.raises(AlreadySeen):
        await notifier.consumers.on_deployments_event(message)
    await notifier.at_rest()
    assert notifier.fake.given() == [f"{deployment_id}-a1"]
    assert len(await notifier.events(deployment_id)) == 1
    [told] = await notifier.log.history(f"delivery-{deployment_id}")
    assert told.causation_id == message.envelope.id
    assert told.correlation_id == message.envelope.correlation_id


@pytest.mark.parametrize(
    "script",
    [
        Script(errors=(500, 503)),
        Script(errors=(429,)),
        Script(manners=Manners.TAKES_THEN_CLOSES),
        Script(looks=5),
    ],
    ids=["errors first", "throttled", "outcome unknown", "slow"],
)
async def test_trouble_of_the_moment_is_waited_out(notifier: Notifier, script: Script) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[str(deployment_id)] = script
    await notifier.notify(app_id, deployment_id, 1)
    [ready] = await notifier.said(deployment_id, 1)
    assert isinstance(ready, RuntimeReady)
    assert len(notifier.fake.posts) == len(script.errors) + 1  # what was taken is not given a second time
    assert notifier.store.signed == len(notifier.fake.posts)  # an address per POST


@pytest.mark.parametrize(
    "manners", [Manners.HANGS, Manners.CLOSES, Manners.HUGE_ANSWER, Manners.LIES_ABOUT_IDS, Manners.NOT_JSON]
)
async def test_what_stays_unclear_is_left_to_the_hubs_deadline(make_notifier: MakeNotifier, manners: Manners) -> None:
    notifier = await make_notifier(pace=Pace(0.02, 0.1, 0.1, late_limit_seconds=0.2))
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[str(deployment_id)] = Script(manners=manners)
    await notifier.notify(app_id, deployment_id, 1, due_seconds=3.0)

    async def asked() -> bool:
        return bool(notifier.fake.posts)

    await notifier.until(asked, "it is given")

    async def given_up() -> bool:
        async with notifier.log.reading() as connection:
            return bool((await connection.execute(text("SELECT status FROM state.wires"))).scalar_one() == "failed")

    await notifier.until(given_up, "nobody waits for it any longer")
    assert await notifier.events(deployment_id) == []


async def test_a_runtime_that_is_away_is_told_and_waited_for(make_notifier: MakeNotifier) -> None:
    notifier = await make_notifier(pace=Pace(0.02, 0.1, away_seconds=0.2))
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[str(deployment_id)] = Script(manners=Manners.CLOSES)
    before = datetime.now(UTC)
    await notifier.notify(app_id, deployment_id, 1)
    [away] = await notifier.said(deployment_id, 1)
    assert isinstance(away, RuntimeAway)
    assert before <= away.since <= away.at
    await notifier.stop()
    notifier.start()  # whoever takes the errand over knows what the hub was told
    notifier.fake.script[str(deployment_id)] = Script(held=True)
    assert isinstance((await notifier.said(deployment_id, 2))[1], RuntimeBack)
    notifier.fake.release(str(deployment_id))
    assert isinstance((await notifier.said(deployment_id, 3))[2], RuntimeReady)
    await notifier.at_rest()
    assert len(await notifier.events(deployment_id)) == 3


async def test_a_failure_is_told_without_the_address_it_quotes(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    quoted = "Failed to fetch package after 3 attempts: Client error '404' for url '{url}'\nFor more: https://x.y/?a=b"
    notifier.fake.script[str(deployment_id)] = Script(ends="failed", message=quoted)
    await notifier.notify(app_id, deployment_id, 1)
    [failed] = await notifier.said(deployment_id, 1)
    assert isinstance(failed, RuntimeFailed)
    assert failed.retriable
    assert failed.reason.startswith("Failed to fetch package after 3 attempts: Client error '404' for url 'http://")
    assert "?" not in failed.reason
    assert SIGNATURE in notifier.fake.posts[0]["packageUrl"]
    assert SIGNATURE not in await notifier.everything_written()


async def test_a_package_that_cannot_be_loaded_is_not_worth_another_try(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    message = "Failed to load package: Missing agent.yaml manifest"
    notifier.fake.script[str(deployment_id)] = Script(ends="failed", message=message)
    await notifier.notify(app_id, deployment_id, 1)
    [failed] = await notifier.said(deployment_id, 1)
    assert isinstance(failed, RuntimeFailed)
    assert (failed.reason, failed.retriable) == (message, False)


async def test_a_refusal_is_told_at_once(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[str(deployment_id)] = Script(errors=(422,))
    await notifier.notify(app_id, deployment_id, 1)
    [failed] = await notifier.said(deployment_id, 1)
    assert isinstance(failed, RuntimeFailed)
    assert not failed.retriable
    assert "422" in failed.reason
    assert SIGNATURE not in await notifier.everything_written()


async def test_each_attempt_is_given_under_an_id_of_its_own(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[f"{deployment_id}-a1"] = Script(ends="failed")
    await notifier.notify(app_id, deployment_id, 1)
    await notifier.said(deployment_id, 1)
    await notifier.notify(app_id, deployment_id, 1, attempt=2)
    failed, ready = await notifier.said(deployment_id, 2)
    assert isinstance(failed, RuntimeFailed)
    assert isinstance(ready, RuntimeReady)
    assert ready.attempt == 2
    assert notifier.fake.given() == [f"{deployment_id}-a1", f"{deployment_id}-a2"]


async def test_a_new_attempt_of_what_serves_is_answered_at_once(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    await notifier.notify(app_id, deployment_id, 1)
    await notifier.said(deployment_id, 1)
    await notifier.notify(app_id, deployment_id, 1, attempt=2)
    _, ready = await notifier.said(deployment_id, 2)
    assert isinstance(ready, RuntimeReady)
    assert ready.attempt == 2
    assert notifier.fake.given() == [f"{deployment_id}-a1"]


async def test_an_app_that_is_not_heard_of_yet_is_too_early(notifier: Notifier) -> None:
    with pytest.raises(TooEarly):
        await notifier.notify(uuid4(), uuid4(), 1)
    assert notifier.fake.posts == []


async def test_a_crash_between_giving_and_answering_does_not_give_twice(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[str(deployment_id)] = Script(held=True)
    await notifier.notify(app_id, deployment_id, 1)

    async def given() -> bool:
        return bool(notifier.fake.posts)

    await notifier.until(given, "it is given")
    await notifier.stop()
    notifier.fake.release(str(deployment_id))
    notifier.start()
    [ready] = await notifier.said(deployment_id, 1)
    assert isinstance(ready, RuntimeReady)
    assert len(notifier.fake.posts) == 1


async def test_a_runtime_that_forgets_a_deployment_on_its_way_is_given_it_again(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[str(deployment_id)] = Script(held=True)
    await notifier.notify(app_id, deployment_id, 1)

    async def given(count: int) -> bool:
        return len(notifier.fake.posts) == count

    await notifier.until(lambda: given(1), "it is given")
    notifier.fake.restart_empty()
    await notifier.until(lambda: given(2), "it is given again")
    notifier.fake.release(str(deployment_id))
    assert isinstance((await notifier.said(deployment_id, 1))[0], RuntimeReady)


async def test_twenty_apps_at_once(notifier: Notifier) -> None:
    apps = [await notifier.app() for _ in range(20)]
    deployments = [uuid4() for _ in apps]
    await asyncio.gather(*(notifier.notify(app_id, one, 1) for app_id, one in zip(apps, deployments, strict=True)))
    for one in deployments:
        [ready] = await notifier.said(one, 1)
        assert isinstance(ready, RuntimeReady)
    await notifier.at_rest()
    assert sorted(notifier.fake.given()) == sorted(f"{one}-a1" for one in deployments)


async def test_the_environment_goes_to_a_runtime_that_takes_it_and_nowhere_else(make_notifier: MakeNotifier) -> None:
    notifier = await make_notifier(accepts_environment=True)
    app_id, deployment_id = await notifier.app(), uuid4()
    environment = notifier.sealed(deployment_id, {"API_TOKEN": "hunter22-hunter22"})
    notifier.fake.script[str(deployment_id)] = Script(ends="failed", message="bad token hunter22-hunter22 at start")
    await notifier.notify(app_id, deployment_id, 1, environment=environment)
    [failed] = await notifier.said(deployment_id, 1)
    assert notifier.fake.posts[0]["environment"] == {"API_TOKEN": "hunter22-hunter22"}
    assert isinstance(failed, RuntimeFailed)
    assert failed.reason == "bad token *** at start"
    assert "hunter22" not in await notifier.everything_written()


async def test_the_real_contract_has_no_environment(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    environment = notifier.sealed(deployment_id, {"API_TOKEN": "hunter22"})
    await notifier.notify(app_id, deployment_id, 1, environment=environment)
    await notifier.said(deployment_id, 1)
    assert "environment" not in notifier.fake.posts[0]


async def test_an_environment_that_cannot_be_opened_is_a_failure_and_not_an_empty_one(
    make_notifier: MakeNotifier,
) -> None:
    notifier = await make_notifier(accepts_environment=True)
    app_id, deployment_id = await notifier.app(), uuid4()
    environment = notifier.sealed(deployment_id, {"API_TOKEN": "hunter22"})
    notifier.store.objects[environment.object_key] = notifier.store.objects[environment.object_key][:-1]
    await notifier.notify(app_id, deployment_id, 1, environment=environment)
    [failed] = await notifier.said(deployment_id, 1)
    assert isinstance(failed, RuntimeFailed)
    assert not failed.retriable
    assert notifier.fake.posts == []
