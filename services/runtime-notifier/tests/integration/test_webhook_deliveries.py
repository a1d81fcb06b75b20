"""Deliveries to a real receiver of good and of bad manners: at least once, in order, under the same id."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from pac.eventlog import AlreadySeen
from pac.testkit.eventually import eventually
from pac.testkit.receiver import Received, Receiver, receiving
from pac.testkit.webhooks import QUICK, Tenant, Webhooks, completed, failed, queued, started

MakeWebhooks = Callable[..., Awaitable[Webhooks]]
WHOLE = ["deployment.queued", "deployment.started", "deployment.completed"]


async def taken(receiver: Receiver, count: int) -> list[Received]:
    """Those that were taken, each id once, as soon as there are `count`."""
    await eventually(lambda: len({one.id for one in receiver.taken}) >= count)
    return list({one.id: one for one in receiver.taken}.values())


async def more(receiver: Receiver, count: int) -> None:
    wanted = len(receiver.seen) + count
    await eventually(lambda: len(receiver.seen) >= wanted)


async def test_milestones_and_ends_are_told_signed_and_in_order(webhooks: Webhooks) -> None:
    tenant, stranger = Tenant(), Tenant()
    async with receiving() as receiver, receiving() as other:
        webhook_id = await webhooks.register(tenant, receiver)
        await webhooks.register(stranger, other)
        webhooks.work()
        deployment = await webhooks.deployed(tenant)
        await taken(receiver, 3)
        assert receiver.types_of(deployment) == WHOLE
        assert {one.signatures for one in receiver.seen} == {1}
        await eventually(webhooks.is_done)
        assert await webhooks.said(webhook_id) == ["WebhookDelivered"] * 3
        assert other.seen == []
        assert receiver.rejected == []
    newest, *_ = attempts = await webhooks.attempts(tenant, webhook_id)
    assert [one["type"] for one in reversed(attempts)] == WHOLE
    assert newest["delivered"]
    assert (newest["status"], newest["error"], newest["deployment_id"]) == (204, None, str(deployment))
    assert newest["message_id"] == receiver.taken[-1].id


async def test_an_endpoint_hears_only_what_it_asked_for(webhooks: Webhooks) -> None:
    tenant = Tenant()
    async with receiving() as receiver:
        await webhooks.register(tenant, receiver, events=["deployment.failed", "deployment.completed"])
        webhooks.work()
        done, broken = await webhooks.deployed(tenant), uuid4()
        await webhooks.hear(queued(tenant, broken))
        await webhooks.hear(failed(tenant, broken))
        await taken(receiver, 2)
        await eventually(webhooks.is_done)
    assert receiver.types_of(done) == ["deployment.completed"]
    assert receiver.types_of(broken) == ["deployment.failed"]
    assert len(receiver.seen) == 2


async def test_the_same_news_twice_is_told_once(webhooks: Webhooks) -> None:
    tenant = Tenant()
    async with receiving() as receiver:
        await webhooks.register(tenant, receiver)
        webhooks.work()
        message = await webhooks.hear(queued(tenant, uuid4()))
        with pytest.raises(AlreadySeen):
            await webhooks.consumers.on_deployments_event(message)
        await eventually(webhooks.is_done)
    assert len(receiver.seen) == 1


async def test_a_receiver_down_half_the_time_misses_nothing_and_sees_each_deployment_in_order(
    webhooks: Webhooks,
) -> None:
    """Half of the requests fail, half of those after they were taken: such doubles have the same id."""
    tenant, chance = Tenant(), random.Random(7)  # noqa: S311 - a script

    async def behave(received: Received) -> web.Response:
        if chance.random() < 0.5:
            if chance.random() < 0.5:
                receiver.taken.append(received)
            return web.Response(status=chance.choice([500, 502, 400, 302]))
        return web.Response(status=200)

    async with receiving(behave=behave) as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        for _ in range(2):  # two processes
            webhooks.work()
        deployments = await asyncio.gather(*(webhooks.deployed(tenant) for _ in range(15)))
        once = await taken(receiver, 45)
        await eventually(webhooks.is_done)
    assert receiver.rejected == []
    assert Counter(one.deployment_id for one in once) == {str(one): 3 for one in deployments}
    assert len({(one.deployment_id, one.type) for one in receiver.seen}) == len({one.id for one in receiver.seen}) == 45
    for deployment in deployments:
        seen = [one.type for one in receiver.seen if one.deployment_id == str(deployment)]
        assert seen == sorted(seen, key=WHOLE.index)  # no later one before an earlier one had its end
    assert len(receiver.seen) > 60
    assert Counter(await webhooks.said(webhook_id)) == {"WebhookDelivered": 45}
    attempts = await webhooks.attempts(tenant, webhook_id)
    assert len(attempts) == len(receiver.seen)
    assert sum(one["delivered"] for one in attempts) == 45


async def test_a_worker_killed_between_sending_and_writing_down_sends_again_under_the_same_id(
    webhooks: Webhooks,
) -> None:
    tenant, deployment = Tenant(), uuid4()

    async def kill(received: Received) -> int:
        if received.earlier == 0:
            worker.cancel()  # it has sent, and will never learn of the answer
        return 200

    async with receiving(behave=kill) as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        for event in (queued(tenant, deployment), started(tenant, deployment)):
            await webhooks.hear(event)
        for _ in range(2):
            worker = webhooks.work()
            await asyncio.gather(worker, return_exceptions=True)
        webhooks.work()
        await eventually(webhooks.is_done)
    ids = [one.id for one in receiver.seen]
    assert Counter(ids) == {ids[0]: 2, ids[-1]: 2}
    assert ids == sorted(ids, key=ids.index)  # both of the first, then both of the second
    assert await webhooks.said(webhook_id) == ["WebhookDelivered"] * 2


async def test_what_two_processes_send_because_one_was_cut_off_counts_once(webhooks: Webhooks) -> None:
    tenant, answer = Tenant(), asyncio.Event()

    async def late_at_first(received: Received) -> int:
        if received.earlier == 0:
            await answer.wait()
        return 200

    async with receiving(behave=late_at_first) as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        await webhooks.hear(queued(tenant, uuid4()))
        [held] = await webhooks.outbox.jobs.take(1, 0.05)  # a lease that is not renewed: its process hangs
        cut_off = asyncio.create_task(webhooks.deliverer.handle(held))
        await eventually(lambda: len(receiver.seen) == 1)
        webhooks.work()
        await eventually(webhooks.is_done)
        answer.set()
        await asyncio.gather(cut_off, return_exceptions=True)
    assert len(receiver.seen) == 2
    assert len({one.id for one in receiver.seen}) == 1
    assert await webhooks.said(webhook_id) == ["WebhookDelivered"]
    assert len(await webhooks.attempts(tenant, webhook_id)) == 1


async def test_rotation_under_load_rejects_no_delivery(make_webhooks: MakeWebhooks) -> None:
    """The receiver changes to the new secret the moment it has it, and forgets the old one."""
    webhooks = await make_webhooks(rotation_seconds=1.0)
    tenant, over = Tenant(), asyncio.Event()
    async with receiving() as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        webhooks.work()

        async def load() -> int:
            count = 0
            while not over.is_set():
                await webhooks.deployed(tenant)
                count += 3
            return count

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for _ in range(5):
            await more(receiver, 5)
            rotated = await webhooks.post(tenant, webhook_id, "rotate", status=200)
            receiver.secrets = [rotated["webhook"]["secret"]]
        over.set()
        sent = sum(await asyncio.gather(*loads))
        await eventually(webhooks.is_done, seconds=30)
        assert len({one.id for one in receiver.taken}) == sent
        assert receiver.rejected == []
        assert max(one.signatures for one in receiver.seen) > 1

        async def signed_once() -> bool:
            await webhooks.hear(queued(tenant, uuid4()))
            await eventually(webhooks.is_done)
            return receiver.seen[-1].signatures == 1

        await eventually(signed_once)  # when the time of the old ones is over
        assert receiver.rejected == []


async def test_who_still_has_the_old_secret_goes_on_for_a_while(webhooks: Webhooks) -> None:
    tenant = Tenant()
    async with receiving() as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        webhooks.work()
        for _ in range(3):
            await webhooks.post(tenant, webhook_id, "rotate", status=200)
        await webhooks.deployed(tenant)
        await taken(receiver, 3)
        assert receiver.rejected == []
        assert {one.signatures for one in receiver.seen} == {4}
        await eventually(webhooks.is_done)


async def test_gone_disables_at_once_and_the_owners_other_endpoints_hear_of_it(webhooks: Webhooks) -> None:
    tenant = Tenant()
    neighbour, stranger = tenant.neighbour(), Tenant()
    async with receiving(behave=lambda _: 410) as gone, receiving() as other, receiving() as foreign:
        webhook_id = await webhooks.register(tenant, gone)
        await webhooks.register(neighbour, other, events=["deployment.completed"])
        await webhooks.register(stranger, foreign)
        webhooks.work()
        deployment = await webhooks.deployed(tenant)
        [told] = await taken(other, 1)
        await eventually(webhooks.is_done)
        assert len(gone.seen) == 1
        assert foreign.seen == []
        assert told.type == "webhook.disabled"
        reason = "The endpoint answered 410 Gone"
        assert told.data == {"webhook_id": str(webhook_id), "agent_app_id": str(tenant.app_id), "reason": reason}
        shown = await webhooks.shown(tenant, webhook_id)
        assert shown["disabled_reason"] == reason
        assert shown["disabled_at"] is not None
        assert await webhooks.said(webhook_id) == ["WebhookDisabled"]
        await webhooks.deployed(tenant)
        await eventually(webhooks.is_done)
        assert len(gone.seen) == 1
        for action, body in (("redeliver", None), ("recover", {"since": "2026-01-01T00:00:00Z"})):
            refused = await webhooks.post(tenant, webhook_id, action, body, status=409)
            assert refused["error"] == "This webhook is disabled: enable it first"

        gone.behave = lambda _: 200
        enabled = await webhooks.post(tenant, webhook_id, "enable", status=200)
        assert enabled["webhook"]["disabled_at"] is None
        recovered = await webhooks.post(tenant, webhook_id, "recover", {"since": "2026-01-01T00:00:00Z"})
        assert recovered == {"messages": 6}  # what was dropped, and what came while it was disabled
        await taken(gone, 6)
        assert gone.types_of(deployment) == WHOLE
        await eventually(webhooks.is_done)


async def test_an_endpoint_that_fails_for_long_is_disabled(make_webhooks: MakeWebhooks) -> None:
    webhooks = await make_webhooks(policy=replace(QUICK, disable_seconds=0.3))
    tenant = Tenant()
    async with receiving(behave=lambda _: 500) as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        webhooks.work()
        await webhooks.deployed(tenant)

        async def disabled() -> bool:
            return (await webhooks.shown(tenant, webhook_id))["disabled_at"] is not None

        await eventually(disabled)
        await eventually(webhooks.is_done)
        seen = len(receiver.seen)
        assert seen > 3
        assert (await webhooks.shown(tenant, webhook_id))["failing_since"] is not None
        assert await webhooks.said(webhook_id) == ["WebhookDisabled"]


async def test_retry_after_is_honoured(webhooks: Webhooks) -> None:
    tenant, times = Tenant(), list[float]()

    def busy_at_first(received: Received) -> web.Response:
        times.append(time.monotonic())
        return web.Response(status=503, headers={"Retry-After": "1"}) if received.earlier == 0 else web.Response()

    async with receiving(behave=busy_at_first) as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        webhooks.work()
        await webhooks.hear(queued(tenant, uuid4()))
        await eventually(lambda: len(receiver.seen) == 1)

        async def paused() -> bool:
            return (await webhooks.shown(tenant, webhook_id))["paused_until"] is not None

        await eventually(paused)
        await webhooks.hear(queued(tenant, uuid4()))  # nor is anything else sent meanwhile
        await taken(receiver, 1)
        await eventually(webhooks.is_done)
    assert times[1] - times[0] > 0.95


async def test_what_is_tried_to_the_end_is_given_up_and_the_next_one_goes_on(make_webhooks: MakeWebhooks) -> None:
    webhooks = await make_webhooks(policy=replace(QUICK, retry_seconds=(0.02, 0.02)))
    tenant, deployment = Tenant(), uuid4()
    async with receiving(behave=lambda one: 500 if one.type == "deployment.queued" else 200) as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        webhooks.work()
        await webhooks.deployed(tenant, deployment)
        await eventually(webhooks.is_done)
        assert [one.type for one in receiver.seen] == ["deployment.queued"] * 3 + WHOLE[1:]
        assert await webhooks.said(webhook_id) == ["WebhookExhausted", "WebhookDelivered", "WebhookDelivered"]

        receiver.behave = lambda _: 200
        failures = [one for one in await webhooks.attempts(tenant, webhook_id) if not one["delivered"]]
        assert {(one["status"], one["error"]) for one in failures} == {(500, "The endpoint answered 500")}
        again = await webhooks.post(tenant, webhook_id, "redeliver", {"attempt_id": failures[0]["id"]})
        assert again == {"messages": 1}
        await eventually(lambda: receiver.types_of(deployment) == [*WHOLE[1:], WHOLE[0]])
        await eventually(webhooks.is_done)
        assert receiver.seen[-1].id == failures[0]["message_id"]
        # Without an id it is the newest one, delivered or not.
        await webhooks.post(tenant, webhook_id, "redeliver")
        await eventually(lambda: len(receiver.seen) == 7)
        assert receiver.seen[-1].id == receiver.seen[-2].id
        await eventually(webhooks.is_done)
        nothing = await webhooks.post(tenant, webhook_id, "recover", {"since": "2026-01-01T00:00:00Z"})
        assert nothing == {"messages": 0}


async def test_an_open_circuit_lets_one_attempt_at_a_time_through(make_webhooks: MakeWebhooks) -> None:
    webhooks = await make_webhooks(policy=replace(QUICK, circuit_failures=2, pause_seconds=0.1))
    tenant, times = Tenant(), list[float]()

    def broken(_: Received) -> int:
        times.append(time.monotonic())
        return 500 if len(times) < 9 else 200

    async with receiving(behave=broken) as receiver:
        await webhooks.register(tenant, receiver)
        for _ in range(8):
            await webhooks.hear(queued(tenant, uuid4()))
        webhooks.work()
        await taken(receiver, 8)
        await eventually(webhooks.is_done)
    probes = times[3:9]  # the first four were on their way together
    assert all(later - earlier > 0.09 for earlier, later in pairwise(probes))


async def test_one_that_hangs_holds_up_nobody_else(make_webhooks: MakeWebhooks) -> None:
    webhooks = await make_webhooks(timeout_seconds=60.0)
    slow, quick, never = Tenant(), Tenant(), asyncio.Event()

    async def hang(_: Received) -> int:
        await never.wait()
        return 200

    async with receiving(behave=hang) as hanging, receiving() as receiver:
        await webhooks.register(slow, hanging)
        await webhooks.register(quick, receiver)
        webhooks.work(parallel=2)
        for _ in range(20):
            await webhooks.hear(queued(slow, uuid4()))
        await eventually(lambda: len(hanging.seen) > 0)
        deployments = [await webhooks.deployed(quick) for _ in range(10)]
        await taken(receiver, 30)
        assert [receiver.types_of(one) for one in deployments] == [WHOLE] * 10
        assert len(hanging.seen) <= 4  # so many at once, whatever waits
        assert hanging.taken == []
        never.set()
        await taken(hanging, 20)
        await eventually(webhooks.is_done)


@pytest.mark.parametrize("kind", ["a time", "a deployment"])
async def test_history_first_and_then_live_without_gap_or_double(webhooks: Webhooks, kind: str) -> None:
    tenant, over = Tenant(), asyncio.Event()
    before = await webhooks.deployed(tenant)
    since = datetime.now(UTC)
    first = await webhooks.deployed(tenant)
    history = [first, *[await webhooks.deployed(tenant) for _ in range(3)]]

    async def live() -> list[Any]:
        made = []
        while not over.is_set():
            made.append(await webhooks.deployed(tenant))
        return made

    async with receiving() as receiver:
        loads = [asyncio.create_task(live()) for _ in range(3)]
        webhooks.work()
        await eventually(webhooks.is_done)
        await webhooks.register(tenant, receiver, **{"from": since.isoformat() if kind == "a time" else str(first)})
        await eventually(lambda: len(receiver.taken) > 60)
        over.set()
        deployments = {*history, *(one for made in await asyncio.gather(*loads) for one in made)}
        await eventually(webhooks.is_done)
    assert {one.deployment_id for one in receiver.seen} == set(map(str, deployments))
    assert len(receiver.seen) == 3 * len(deployments)
    for deployment in deployments:
        assert receiver.types_of(deployment) == WHOLE
    assert receiver.types_of(before) == []


async def test_what_comes_while_nobody_works_is_told_later_and_a_deleted_app_hears_no_more(webhooks: Webhooks) -> None:
    tenant = Tenant()
    await webhooks.create_app(tenant)
    async with receiving() as receiver:
        await webhooks.register(tenant, receiver)
        await webhooks.deployed(tenant)
        webhooks.work()
        await taken(receiver, 3)
        await eventually(webhooks.is_done)
        await webhooks.rest()
        await webhooks.hear(completed(tenant, uuid4()))
        await webhooks.delete_app(tenant)
        await webhooks.hear(failed(tenant, uuid4()))
        webhooks.work()
        assert await webhooks.is_done()  # nothing is left of the endpoint
        assert (await webhooks.call("GET", tenant.path, tenant.caller())).body["webhooks"] == []
    assert len(receiver.seen) == 3
    refused = await webhooks.call("POST", tenant.path, tenant.caller(), {"url": receiver.url})
    assert (refused.status, refused.body["error"]) == (404, "Agent app not found")
