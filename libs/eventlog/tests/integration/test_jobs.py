"""Jobs on a real Postgres: wanted in a transaction, done in a transaction, never by two."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog

from pac.eventlog import EventLog, Job, Jobs, StaleLease, Worker
from pac.testkit.eventually import eventually


@pytest.fixture
def jobs(event_log: EventLog) -> Jobs:
    return Jobs(event_log, "validate")


async def put(jobs: Jobs, example: Any, key: str = "one", **more: Any) -> None:
    async with jobs.log.transaction(cause=example.cause) as tx:
        await jobs.put(tx, key, more.pop("payload", {"n": 1}), **more)


async def done(job: Job) -> None:
    async with job.jobs.log.transaction(cause=job.cause) as tx:
        await job.done(tx)


async def nothing_left(jobs: Jobs) -> bool:
    return await jobs.count() == 0


async def until_empty(jobs: Jobs, *workers: Worker) -> None:
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        await eventually(lambda: nothing_left(jobs))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_job_is_done_once_whatever_the_number_of_workers(jobs: Jobs, example: Any) -> None:
    seen: list[str] = []

    async def handle(job: Job) -> None:
        seen.append(job.key)
        assert job.cause.actor == "key-1"
        await done(job)

    for n in range(30):
        await put(jobs, example, str(n))
        await put(jobs, example, str(n), payload={"n": 2})
    await until_empty(jobs, Worker(jobs, handle), Worker(Jobs(jobs.log, "validate"), handle))
    assert sorted(seen, key=int) == [str(n) for n in range(30)]


async def test_what_is_logged_of_a_job_names_its_deployment_and_its_trace(jobs: Jobs, example: Any) -> None:
    traceparent, seen = f"00-{'a' * 32}-{'b' * 16}-01", dict[str, Any]()

    async def handle(job: Job) -> None:
        seen[job.key] = structlog.contextvars.get_contextvars()
        await done(job)

    async with jobs.log.transaction(cause=example.cause.within(traceparent)) as tx:
        await jobs.put(tx, "one", {"deployment_id": "7"})
        await jobs.put(tx, "another", {"app_id": "7"})
    await until_empty(jobs, Worker(jobs, handle, parallel=1))
    assert seen == {"one": {"deployment_id": "7", "traceparent": traceparent}, "another": {}}


async def test_what_is_rolled_back_was_not_wanted(jobs: Jobs, example: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        await _put_and_fail(jobs, example)
    assert await jobs.count() == 0


async def _put_and_fail(jobs: Jobs, example: Any) -> None:
    async with jobs.log.transaction(cause=example.cause) as tx:
        await jobs.put(tx, "one", {})
        raise ZeroDivisionError


async def test_a_worker_that_died_leaves_its_job_to_the_next_and_cannot_finish_it(jobs: Jobs, example: Any) -> None:
    await put(jobs, example)
    (stale,) = await jobs.take(1, 0.05)
    assert await jobs.take(1, 30) == []
    taken = await eventually(lambda: jobs.take(1, 30))
    app = uuid4()
    with pytest.raises(StaleLease):
        await _pin_and_finish(stale, example, app)
    assert (await jobs.log.load(example.decider, app)).is_empty
    await _pin_and_finish(taken[0], example, app)
    assert taken[0].attempts == 2
    assert (await jobs.log.load(example.decider, app)).version == 1
    assert await jobs.count() == 0


async def _pin_and_finish(job: Job, example: Any, app: Any) -> None:
    async with job.jobs.log.transaction(f"appstate-{app}", cause=job.cause) as tx:
        await tx.decide(example.decider, app, example.pin(app))
        await job.done(tx)


async def test_a_token_of_a_former_job_with_the_same_key_is_worth_nothing(jobs: Jobs, example: Any) -> None:
    await put(jobs, example)
    (former,) = await jobs.take(1, 30)
    await done(former)
    await put(jobs, example)
    await jobs.take(1, 30)
    with pytest.raises(StaleLease):
        await former.failed(0, "late")


async def test_failures_and_outages_are_tried_again_until_it_works(jobs: Jobs, example: Any) -> None:
    faults: list[Exception] = [OSError("away"), ZeroDivisionError()]
    attempts: list[int] = []

    async def handle(job: Job) -> None:
        attempts.append(job.attempts)
        if faults:
            raise faults.pop()
        await done(job)

    await put(jobs, example)
    await until_empty(jobs, Worker(jobs, handle))
    assert attempts == [1, 2, 3]


async def test_a_postponed_job_comes_again_with_its_new_payload(jobs: Jobs, example: Any) -> None:
    payloads: list[Any] = []

    async def handle(job: Job) -> None:
        payloads.append((job.payload, job.attempts))
        if len(payloads) < 3:
            await job.again(0.01, {"n": len(payloads) + 1})
        else:
            await done(job)

    await put(jobs, example)
    await until_empty(jobs, Worker(jobs, handle))
    assert payloads == [({"n": 1}, 1), ({"n": 2}, 1), ({"n": 3}, 1)]


async def test_a_lease_is_renewed_while_the_handler_runs(jobs: Jobs, example: Any) -> None:
    runs = 0

    async def handle(job: Job) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(2.0)  # twice the lease
        await done(job)

    await put(jobs, example)
    workers = [Worker(Jobs(jobs.log, "validate"), handle, lease_seconds=1.0) for _ in range(2)]
    await until_empty(jobs, *workers)
    assert runs == 1


async def test_a_stopped_worker_gives_its_job_back_at_once(jobs: Jobs, example: Any) -> None:
    started = asyncio.Event()

    async def handle(_: Job) -> None:
        started.set()
        await asyncio.Event().wait()

    await put(jobs, example)
    running = asyncio.create_task(Worker(jobs, handle).run())
    async with asyncio.timeout(5):
        await started.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(await jobs.take(1, 30)) == 1


async def test_replacing_a_job_stops_the_one_that_runs(jobs: Jobs, example: Any) -> None:
    await put(jobs, example)
    (running,) = await jobs.take(1, 30)
    await put(jobs, example, payload={"n": 2}, replace=True)
    with pytest.raises(StaleLease):
        await done(running)
    (new,) = await jobs.take(1, 30)
    assert new.payload == {"n": 2}


async def test_a_job_waits_for_its_time_and_can_be_cancelled(jobs: Jobs, example: Any) -> None:
    await put(jobs, example, run_at=datetime.now(UTC) + timedelta(hours=1))
    assert await jobs.take(1, 30) == []
    async with jobs.log.transaction(cause=example.cause) as tx:
        await jobs.cancel(tx, "one")
    assert await jobs.count() == 0


async def test_one_that_is_wanted_sooner_waits_no_longer_and_one_that_runs_is_let_alone(
    jobs: Jobs, example: Any
) -> None:
    async def sooner(**more: Any) -> None:
        async with jobs.log.transaction(cause=example.cause) as tx:
            await jobs.put_sooner(tx, "one", {"n": 1}, **more)

    await sooner(run_at=datetime.now(UTC) + timedelta(hours=1))
    assert await jobs.take(1, 30) == []
    assert await jobs.running("one") is None
    await sooner()
    (running,) = await jobs.take(1, 30)
    assert await jobs.running("one") == running.token
    await sooner()
    assert await jobs.running("one") == running.token
    await done(running)
    await sooner()
    (after,) = await jobs.take(1, 30)
    assert after.token != running.token
    await after.again(0)
    assert await jobs.running("one") is None
    assert await jobs.running("two") is None
