"""What should run runs: after aborts, late runtimes, deletions and restarts, on the real books."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from pac.contracts.runtime_notifier import RuntimeReady
from pac.runtime_notifier import running
from pac.runtime_notifier.app import orphans
from pac.runtime_notifier.running import App
from pac.runtime_notifier.runtime import CannotStop, StopTaken, Unclear
from pac.testkit.fake_runtime import Script
from pac.testkit.notifier import QUICK, MakeNotifier, Notifier


async def given(notifier: Notifier, prefix: object) -> None:
    async def posted() -> bool:
        return bool(notifier.fake.given(str(prefix)))

    await notifier.until(posted, f"{prefix} is given")


async def test_ready_after_the_abort_gets_the_current_release_given_again(make_notifier: MakeNotifier) -> None:
    notifier = await make_notifier(stops_deployments=False)
    app_id = await notifier.app()
    first, second = await notifier.running(app_id, 1), uuid4()
    notifier.fake.script[str(second)] = Script(held=True)
    await notifier.notify(app_id, second, 2)
    await given(notifier, second)
    await notifier.abort(app_id, second)
    notifier.fake.release(str(second))
    await notifier.serves(app_id, f"{first}-r1")
    await notifier.at_rest()
    assert await notifier.events(second) == []
    assert len(await notifier.events(first)) == 1  # given again is nobody's answer


async def test_what_is_aborted_on_its_way_is_stopped_where_that_is_possible(notifier: Notifier) -> None:
    app_id = await notifier.app()
    first, second = await notifier.running(app_id, 1), uuid4()
    notifier.fake.script[str(second)] = Script(held=True)
    await notifier.notify(app_id, second, 2)
    await given(notifier, second)
    await notifier.abort(app_id, second)
    await notifier.at_rest()
    assert notifier.fake.stops == [f"{second}-a1"]
    assert notifier.fake.serving(app_id) == [f"{first}-a1"]
    assert await notifier.events(second) == []


async def test_ready_after_the_deadline_and_the_abort_is_undone_too(make_notifier: MakeNotifier) -> None:
    notifier = await make_notifier(stops_deployments=False)
    app_id = await notifier.app()
    first, second = await notifier.running(app_id, 1), uuid4()
    notifier.fake.script[str(second)] = Script(held=True)
    due_at = datetime.now(UTC) + timedelta(seconds=3)
    await notifier.notify(app_id, second, 2, due_seconds=3)
    await given(notifier, second)

    async def overdue() -> bool:
        return datetime.now(UTC) > due_at

    await notifier.until(overdue, "its deadline is over")
    await notifier.notify(app_id, second, 2, attempt=2, due_seconds=3)
    await notifier.abort(app_id, second)
    notifier.fake.release(str(second))
    await notifier.serves(app_id, f"{first}-r")


@pytest.mark.parametrize("stops_deployments", [False, True])
async def test_ready_long_after_it_was_given_up_is_undone_too(
    make_notifier: MakeNotifier, *, stops_deployments: bool
) -> None:
    pace = replace(QUICK, late_limit_seconds=0.1, given_up_seconds=0.2)
    notifier = await make_notifier(stops_deployments=stops_deployments, pace=pace)
    app_id = await notifier.app()
    first, second = await notifier.running(app_id, 1), uuid4()
    notifier.fake.script[str(second)] = Script(held=True)
    await notifier.notify(app_id, second, 2, due_seconds=3)
    await given(notifier, second)

    async def given_up() -> bool:
        async with notifier.log.reading() as connection:
            statement = text("SELECT status FROM state.wires WHERE id = :id")
            return bool((await connection.execute(statement, {"id": f"{second}-a1"})).scalar_one() == "failed")

    await notifier.until(given_up, "nobody waits for it any longer")
    await notifier.abort(app_id, second)
    notifier.fake.release(str(second))
    await notifier.serves(app_id, f"{first}-r1")
    await notifier.at_rest()
    assert await notifier.events(second) == []


async def test_aborted_after_ready_gets_the_current_release_given_again(notifier: Notifier) -> None:
    app_id = await notifier.app()
    first, second = await notifier.running(app_id, 1), uuid4()
    await notifier.notify(app_id, second, 2)
    await notifier.said(second, 1)
    await notifier.abort(app_id, second)
    await notifier.serves(app_id, f"{first}-r1")


async def test_an_aborted_first_release_is_stopped(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    await notifier.notify(app_id, deployment_id, 1)
    await notifier.said(deployment_id, 1)
    await notifier.serves(app_id, deployment_id)
    await notifier.abort(app_id, deployment_id)
    await notifier.serves(app_id, None)
    await notifier.at_rest()
    assert await orphans_of(notifier) == 0


async def test_a_runtime_without_stop_keeps_serving_and_is_told_as_an_orphan(make_notifier: MakeNotifier) -> None:
    notifier = await make_notifier(stops_deployments=False)
    app_id, deployment_id = await notifier.app(), uuid4()
    await notifier.notify(app_id, deployment_id, 1)
    await notifier.said(deployment_id, 1)
    await notifier.abort(app_id, deployment_id)
    await notifier.at_rest()
    assert notifier.fake.serving(app_id) == [f"{deployment_id}-a1"]
    assert await orphans_of(notifier) == 1
    await notifier.running(app_id, 2)
    assert await orphans_of(notifier) == 0


async def orphans_of(notifier: Notifier) -> float:
    return await orphans(notifier.log)


async def test_a_deleted_app_is_stopped(notifier: Notifier) -> None:
    app_id = await notifier.app()
    deployment_id = await notifier.running(app_id, 1)
    await notifier.serves(app_id, deployment_id)
    await notifier.delete_app(app_id)
    await notifier.serves(app_id, None)


async def test_a_deleted_app_is_stopped_when_its_runtime_turns_ready_later(notifier: Notifier) -> None:
    app_id, deployment_id = await notifier.app(), uuid4()
    notifier.fake.script[str(deployment_id)] = Script(held=True)
    await notifier.notify(app_id, deployment_id, 1)
    await given(notifier, deployment_id)
    notifier.fake.stops_deployments = False
    await notifier.delete_app(app_id)
    notifier.fake.release(str(deployment_id))
    await notifier.serves(app_id, deployment_id)
    notifier.fake.stops_deployments = True
    await notifier.abort(app_id, deployment_id)
    await notifier.serves(app_id, None)


async def test_a_runtime_restarted_empty_becomes_whole_again(notifier: Notifier) -> None:
    apps = [await notifier.app() for _ in range(3)]
    releases = [await notifier.running(app_id, 1) for app_id in apps]
    await notifier.at_rest()
    notifier.fake.restart_empty()
    await notifier.reconciler.round()
    for app_id, deployment_id in zip(apps, releases, strict=True):
        await notifier.serves(app_id, f"{deployment_id}-r1")
    await notifier.at_rest()
    await notifier.reconciler.round()
    assert await notifier.jobs.count() == 0  # what runs is left alone


async def test_a_runtime_that_is_away_is_no_reason_to_give_anything_again(notifier: Notifier) -> None:
    app_id = await notifier.app()
    await notifier.running(app_id, 1)
    await notifier.at_rest()
    posts, url = len(notifier.fake.posts), notifier.fake.url
    notifier.reconciler.runtimes.by_name["default"]._url = "http://127.0.0.1:9"
    await notifier.reconciler.round()
    notifier.reconciler.runtimes.by_name["default"]._url = url
    assert await notifier.jobs.count() == 0
    assert len(notifier.fake.posts) == posts


async def late_below_an_open_one(notifier: Notifier) -> str:
    """The second release's runtime turns ready between the third's and the third's end; gives the third's id."""
    app_id = await notifier.app()
    await notifier.running(app_id, 1)
    second, third = uuid4(), uuid4()
    notifier.fake.script[str(second)] = Script(held=True)
    await notifier.notify(app_id, second, 2)
    await given(notifier, second)
    await notifier.abort(app_id, second)
    await notifier.notify(app_id, third, 3)
    assert isinstance((await notifier.said(third, 1))[0], RuntimeReady)
    notifier.fake.release(str(second))
    await notifier.serves(app_id, second)
    await notifier.serves(app_id, f"{third}-r1")
    await notifier.complete(app_id, third, 3)
    await notifier.at_rest()
    await notifier.serves(app_id, third)
    return str(third)


async def test_a_late_runtime_does_not_push_an_open_delivery_aside(make_notifier: MakeNotifier) -> None:
    notifier = await make_notifier(stops_deployments=False)
    assert await late_below_an_open_one(notifier)


def late_is_old_news(turned_ready: Callable[..., App]) -> Callable[..., App]:
    """Without undo_whenever."""

    def mutant(app: App, wire_id: str, *, told: bool) -> App:
        ready = turned_ready(app, wire_id, told=told)
        return ready if told else replace(app, wires=ready.wires, serving=ready.serving, asked=())

    return mutant


def the_current_release(turned_ready: Callable[..., App]) -> Callable[..., App]:
    """Without should_run."""

    def mutant(app: App, wire_id: str, *, told: bool) -> App:
        deliveries = {
            one: replace(each, closed=each.closed or (not each.done and each.ready))
            for one, each in app.deliveries.items()
        }
        ready = turned_ready(replace(app, deliveries=deliveries), wire_id, told=told)
        kept = {one: replace(each, closed=app.deliveries[one].closed) for one, each in ready.deliveries.items()}
        return replace(ready, deliveries=kept)

    return mutant


@pytest.mark.parametrize("mutation", [late_is_old_news, the_current_release])
async def test_without_either_rule_the_wrong_release_serves(
    make_notifier: MakeNotifier,
    monkeypatch: pytest.MonkeyPatch,
    mutation: Callable[[Callable[..., App]], Callable[..., App]],
) -> None:
    monkeypatch.setattr(running, "turned_ready", mutation(running.turned_ready))
    notifier = await make_notifier(stops_deployments=False)
    notifier.patience_seconds = 2.0
    with pytest.raises(AssertionError, match="never"):
        await late_below_an_open_one(notifier)


async def test_what_waits_to_be_given_again_is_not_given_once_a_later_release_serves(notifier: Notifier) -> None:
    """It would push the current release aside, which nothing had been wrong with."""
    app_id = await notifier.app()
    first = await notifier.running(app_id, 1)
    await notifier.at_rest()
    notifier.fake.script[f"{first}-r1"] = Script(ends="failed")
    notifier.fake.restart_empty()
    await notifier.reconciler.round()

    async def waits() -> bool:
        async with notifier.log.reading() as connection:
            return bool(await connection.scalar(text("SELECT count(*) FROM state.jobs WHERE key LIKE '%-r2'")))

    await notifier.until(waits, "the next try waits")
    second = await notifier.running(app_id, 2)
    async with notifier.log.reading() as connection:
        await connection.execute(text("UPDATE state.jobs SET run_at = clock_timestamp()"))
    notifier.jobs.wanted.set()
    await notifier.at_rest()
    assert notifier.fake.given(f"{first}-r") == [f"{first}-r1"]
    assert notifier.fake.serving(app_id) == [f"{second}-a1"]


async def test_a_stop_asked_for_while_an_earlier_one_is_on_its_way_is_not_lost(notifier: Notifier) -> None:
    """The runtime answers the first stop before it is given the package, and is slow to say so."""
    app_id, deployment_id = await notifier.app(), uuid4()
    runtime, store = notifier.courier.runtimes.by_name["default"], notifier.store
    signing, stopped = asyncio.Event(), asyncio.Event()
    stop, sign = runtime.stop, store.presigned_get

    async def slow_sign(key: str, seconds: int) -> str:
        signing.set()
        await stopped.wait()
        return await sign(key, seconds)

    async def slow_stop(wire_id: str) -> StopTaken | CannotStop | Unclear:
        answer = await stop(wire_id)
        if not stopped.is_set():
            stopped.set()
            await notifier.until(serves, "the books say that it serves")
        return answer

    async def serves() -> bool:
        async with notifier.log.reading() as connection:
            return await connection.scalar(text("SELECT serving FROM state.apps")) is not None

    store.presigned_get = slow_sign  # type: ignore[method-assign]
    runtime.stop = slow_stop  # type: ignore[method-assign]
    await notifier.notify(app_id, deployment_id, 1)
    await signing.wait()
    await notifier.abort(app_id, deployment_id)
    await stopped.wait()
    await notifier.at_rest()
    assert notifier.fake.given() == [f"{deployment_id}-a1"]
    assert notifier.fake.serving(app_id) == []
    assert await orphans_of(notifier) == 0
