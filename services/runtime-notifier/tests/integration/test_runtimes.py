"""Several runtimes, chosen by app: each is given what is its own, and each is looked after by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import pytest_asyncio

from pac.contracts.runtime_notifier import RuntimeFailed, RuntimeReady
from pac.runtime_notifier.runtime import Health
from pac.testkit.eventually import eventually
from pac.testkit.fake_runtime import FakeRuntime, fake_runtime
from pac.testkit.notifier import MakeNotifier, Notifier


@pytest_asyncio.fixture(loop_scope="session")
async def europe() -> AsyncIterator[FakeRuntime]:
    async with fake_runtime(secret="secret-of-europe") as runtime:
        yield runtime


@pytest_asyncio.fixture(loop_scope="session")
async def notifier(make_notifier: MakeNotifier, europe: FakeRuntime) -> Notifier:
    return await make_notifier(more={"europe": europe})


async def test_an_app_is_given_to_the_runtime_that_it_has_chosen(notifier: Notifier, europe: FakeRuntime) -> None:
    here, there = await notifier.app(), await notifier.app()
    await notifier.choose_runtime(there, "europe")
    at_home, abroad = await notifier.running(here, 1), await notifier.running(there, 1)
    assert (notifier.fake.given(), europe.given()) == ([f"{at_home}-a1"], [f"{abroad}-a1"])


async def test_the_next_deployment_moves_an_app_that_has_chosen_anew(notifier: Notifier, europe: FakeRuntime) -> None:
    app_id = await notifier.app()
    first = await notifier.running(app_id, 1)
    await notifier.choose_runtime(app_id, "europe")
    await notifier.reconciler.round()
    assert notifier.fake.serving(app_id) == [f"{first}-a1"]  # until then it stays where it is
    second = await notifier.running(app_id, 2)
    await notifier.serves(app_id, None)
    await notifier.at_rest()
    assert notifier.fake.stops == [f"{first}-a1"]
    assert europe.serving(app_id) == [f"{second}-a1"]


async def test_one_that_hangs_does_not_keep_another_from_being_made_whole(
    notifier: Notifier, europe: FakeRuntime
) -> None:
    here, there = await notifier.app(), await notifier.app()
    await notifier.choose_runtime(there, "europe")
    stuck, abroad = await notifier.running(here, 1), await notifier.running(there, 1)
    await notifier.at_rest()
    looked = asyncio.Event()

    async def never(wire_id: str) -> Health:
        assert wire_id == f"{stuck}-a1"
        looked.set()
        await asyncio.Event().wait()
        raise AssertionError

    notifier.reconciler.runtimes.by_name["default"].health = never  # type: ignore[method-assign]
    reconciling = asyncio.create_task(notifier.reconciler.run())
    try:
        await asyncio.wait_for(looked.wait(), 15)
        europe.restart_empty()
        await eventually(lambda: europe.serving(there) == [f"{abroad}-r1"])
        assert not reconciling.done()
    finally:
        reconciling.cancel()
        with suppress(asyncio.CancelledError):
            await reconciling


async def test_a_runtime_that_is_not_set_up_is_named_and_asked_for_once(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    await notifier.choose_runtime(app_id, "atlantis")
    await notifier.notify(app_id, deployment_id, 1)
    [failed] = await notifier.said(deployment_id, 1)
    assert isinstance(failed, RuntimeFailed)
    assert not failed.retriable
    assert failed.reason == "There is no runtime atlantis: choose another one for this app"
    assert notifier.fake.posts == []


async def test_what_ran_in_a_runtime_that_is_gone_is_given_where_the_app_is_set_to(
    notifier: Notifier, europe: FakeRuntime
) -> None:
    app_id = await notifier.app()
    await notifier.choose_runtime(app_id, "europe")
    first = await notifier.running(app_id, 1)
    await notifier.at_rest()
    await notifier.choose_runtime(app_id, "default")
    del notifier.reconciler.runtimes.by_name["europe"]  # type: ignore[attr-defined] # as after a restart without it
    await notifier.reconciler.round(None)
    await notifier.serves(app_id, f"{first}-r1")
    assert europe.serving(app_id) == [f"{first}-a1"]  # nobody can stop it there
    assert isinstance((await notifier.events(first))[0], RuntimeReady)
