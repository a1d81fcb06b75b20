"""Registration over HTTP: secrets are shown once and kept sealed, limits hold, another account's are unknown."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pac.contracts.bodies.webhooks import NoticeType
from pac.eventlog import Cause
from pac.runtime_notifier.secrets.rekey import Rekeying
from pac.runtime_notifier.webhooks.outbox import HISTORY_MAX
from pac.runtime_notifier.webhooks.seals import Seals
from pac.testkit.eventually import eventually
from pac.testkit.notifier import new_ring
from pac.testkit.receiver import receiving
from pac.testkit.service import caller
from pac.testkit.webhooks import RING, Tenant, Webhooks

MakeWebhooks = Callable[..., Awaitable[Webhooks]]
URL = "http://127.0.0.1:5000/hook"
ACTIONS = ("", "/attempts", "/rotate", "/redeliver", "/recover", "/enable")


async def register(webhooks: Webhooks, tenant: Tenant, **wish: Any) -> dict[str, Any]:
    answer = await webhooks.call("POST", tenant.path, tenant.caller(), {"url": URL, **wish})
    assert answer.status == 201, answer
    return dict(answer.body["webhook"])


async def test_a_webhook_is_registered_shown_and_deleted(webhooks: Webhooks) -> None:
    tenant = Tenant()
    wish = {"events": ["deployment.failed", "deployment.completed", "deployment.failed"], "description": "CI\nof mine"}
    made = await register(webhooks, tenant, **wish)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["events"] == ["deployment.completed", "deployment.failed"]
    assert (made["url"], made["description"], made["disabled_at"]) == (URL, "CI of mine", None)
    assert await webhooks.shown(tenant, UUID(made["id"])) == made
    listed = await webhooks.call("GET", tenant.path, tenant.caller())
    assert listed.body == {"webhooks": [made], "next_cursor": None}
    gone = await webhooks.call("DELETE", f"{tenant.path}/{made['id']}", tenant.caller())
    assert (gone.status, gone.body) == (200, {"message": "Webhook deleted successfully"})
    again = await webhooks.call("DELETE", f"{tenant.path}/{made['id']}", tenant.caller())
    assert (again.status, again.body["error"]) == (404, "Webhook not found")
    assert (await webhooks.call("GET", tenant.path, tenant.caller())).body["webhooks"] == []


async def test_without_a_list_it_hears_everything(webhooks: Webhooks) -> None:
    made = await register(webhooks, Tenant())
    assert made["events"] == [one.value for one in NoticeType]


async def test_pages_show_each_once(webhooks: Webhooks) -> None:
    tenant = Tenant()
    made = [(await register(webhooks, tenant))["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = await webhooks.call("GET", f"{tenant.path}?limit=2&cursor={cursor}", tenant.caller())
        seen += [one["id"] for one in page.body["webhooks"]]
        if (cursor := page.body["next_cursor"]) is None:
            break
    assert seen == made
    wrong = await webhooks.call("GET", f"{tenant.path}?cursor=WyJhIiwiYiJd", tenant.caller())
    assert wrong.status == 400


@pytest.mark.parametrize(
    ("wish", "detail"),
    [
        ({"url": "http://10.0.0.1/"}, "url: Leads to an address that is not public"),
        ({"url": "https://169.254.169.254/latest"}, "url: Leads to an address that is not public"),
        ({"url": "ftp://example.com/"}, "url: Must be an absolute URL that begins with https://"),
        ({"url": "https://me:word@example.com/"}, "url: Must hold no user and no password"),
        ({"url": "https://0x7f.1/"}, "url: Its host must be a name, or an address in its usual form"),
        ({"url": ""}, "url: String should have at least 1 character"),
        ({"url": URL, "events": []}, "events: Tuple should have at least 1 item after validation, not 0"),
        ({"url": URL, "from": str(UUID(int=5))}, "from: No deployment of this app that is remembered"),
        ({"url": URL, "secret": "whsec_mine"}, "secret: Unknown field"),
    ],
)
async def test_a_wish_that_cannot_be_granted_is_refused_with_its_reason(
    webhooks: Webhooks, wish: dict[str, Any], detail: str
) -> None:
    tenant = Tenant()
    answer = await webhooks.call("POST", tenant.path, tenant.caller(), wish)
    assert (answer.status, answer.body["code"]) == (400, "invalid_request")
    assert answer.body["details"] == [detail]
    assert (await webhooks.call("GET", tenant.path, tenant.caller())).body["webhooks"] == []


@pytest.mark.parametrize(
    "wish", [{"events": ["deployment.exploded"]}, {"from": "yesterday"}, {"description": "a" * 501}]
)
async def test_other_nonsense_is_refused_as_well(webhooks: Webhooks, wish: dict[str, Any]) -> None:
    tenant = Tenant()
    answer = await webhooks.call("POST", tenant.path, tenant.caller(), {"url": URL, **wish})
    assert (answer.status, answer.body["code"]) == (400, "invalid_request")


async def test_another_accounts_webhook_is_as_unknown_as_any(webhooks: Webhooks) -> None:
    mine, theirs = Tenant(), Tenant()
    made = await register(webhooks, mine)
    foreign = (
        (theirs.path, theirs.caller()),  # their app, my hook
        (mine.neighbour().path, mine.caller()),  # an app that the gateway has not vouched for
        (mine.path, caller(theirs.account_id, app=mine.app_id)),  # what no gateway would sign
    )
    for action in ACTIONS:
        methods = ("GET", "DELETE") if action == "" else ("GET",) if action == "/attempts" else ("POST",)
        body = {"since": "2026-01-01T00:00:00Z"} if action == "/recover" else None
        for method in methods:
            unknown = await webhooks.call(method, f"{mine.path}/{uuid4()}{action}", mine.caller(), body)
            assert (unknown.status, unknown.body["error"]) == (404, "Webhook not found")
            for path, who in foreign:
                answer = await webhooks.call(method, f"{path}/{made['id']}{action}", who, body)
                assert answer.status == 404, (method, action, path)
            malformed = await webhooks.call(method, f"{mine.path}/not-an-id{action}", mine.caller(), body)
            assert malformed.status == 404
    assert (await webhooks.shown(mine, UUID(made["id"])))["id"] == made["id"]


async def test_an_app_has_so_many_however_many_ask_at_once(make_webhooks: MakeWebhooks) -> None:
    webhooks = await make_webhooks(webhooks_per_app=3)
    tenant = Tenant()
    asked = [webhooks.call("POST", tenant.path, tenant.caller(), {"url": URL}) for _ in range(8)]
    statuses = sorted(answer.status for answer in await asyncio.gather(*asked))
    assert statuses == [201] * 3 + [409] * 5
    await register(webhooks, tenant.neighbour())


async def test_no_secret_is_written_down_as_it_is(webhooks: Webhooks) -> None:
    tenant = Tenant()
    headers = {"Idempotency-Key": "once"}
    made = await webhooks.call("POST", tenant.path, tenant.caller(), {"url": URL}, headers)
    webhook_id = UUID(made.body["webhook"]["id"])
    rotated = await webhooks.post(tenant, webhook_id, "rotate", status=200)
    secrets = {made.body["webhook"]["secret"], rotated["webhook"]["secret"]}
    assert len(secrets) == 2
    written = await webhooks.everything_written()
    assert str(webhook_id) in written
    for secret in secrets:
        word = secret.removeprefix("whsec_")
        for form in (secret, word, secret.encode().hex(), word.encode().hex()):
            assert form not in written
    for shown in (await webhooks.shown(tenant, webhook_id), *(await webhooks.attempts(tenant, webhook_id))):
        assert "secret" not in shown


async def test_a_request_that_is_sent_again_registers_once_and_shows_the_same_secret(webhooks: Webhooks) -> None:
    tenant, headers = Tenant(), {"Idempotency-Key": "once"}
    who = tenant.caller()
    first = await webhooks.call("POST", tenant.path, who, {"url": URL}, headers)
    again = await webhooks.call("POST", tenant.path, who, {"url": URL}, headers)
    assert (first.status, again.status, again.headers["Idempotent-Replayed"]) == (201, 201, "true")
    assert again.body == first.body
    other = await webhooks.call("POST", tenant.path, who, {"url": URL, "description": "x"}, headers)
    assert other.status == 422
    path = f"{tenant.path}/{first.body['webhook']['id']}/rotate"
    rotated = [await webhooks.call("POST", path, who, None, headers) for _ in range(2)]
    assert rotated[0].body == rotated[1].body
    assert rotated[0].body["webhook"]["secret"] != first.body["webhook"]["secret"]


async def test_history_is_bounded_and_nothing_is_left_of_a_wish_for_more(webhooks: Webhooks) -> None:
    tenant = Tenant()
    many = text(
        "INSERT INTO state.webhook_notices (account_id, app_id, subject, type, at, body, event_id, correlation_id) "
        "SELECT :account, :app, gen_random_uuid(), 'deployment.queued', now(), '{}', gen_random_uuid(), "
        "gen_random_uuid() FROM generate_series(1, :count)"
    )
    async with webhooks.log.reading() as connection:
        values = {"account": tenant.account_id, "app": tenant.app_id, "count": HISTORY_MAX + 1}
        await connection.execute(many, values)
    wish = {"url": URL, "from": "2026-01-01T00:00:00Z"}
    refused = await webhooks.call("POST", tenant.path, tenant.caller(), wish)
    detail = "from: More than 10000 notices since then; choose a later time"
    assert (refused.status, refused.body["details"]) == (400, [detail])
    assert (await webhooks.call("GET", tenant.path, tenant.caller())).body["webhooks"] == []
    assert await webhooks.is_done()


async def test_what_is_old_is_forgotten_unless_somebody_waits_for_it(webhooks: Webhooks) -> None:
    tenant = Tenant()
    async with receiving() as receiver:
        webhook_id = await webhooks.register(tenant, receiver)
        webhooks.work()
        await webhooks.deployed(tenant)
        await eventually(webhooks.is_done)
        await webhooks.rest()
        await webhooks.deployed(tenant)
        later = (await webhooks.log.history(f"webhook-{webhook_id}"))[-1].event.at.replace(year=2100)
        assert await webhooks.outbox.forget_older(later, 2) == 2
        assert await webhooks.outbox.forget_older(later, 100) == 1
        assert await webhooks.outbox.forget_older(later, 100) == 0
        assert await webhooks.attempts(tenant, webhook_id) == []
        webhooks.work()
        await eventually(lambda: len(receiver.taken) == 6)
        await eventually(webhooks.is_done)


async def test_rekey_seals_their_secrets_by_the_newest_key(webhooks: Webhooks) -> None:
    tenant, fresh, log = Tenant(), new_ring(), webhooks.log
    made = [await register(webhooks, tenant) for _ in range(2)]
    lost = UUID((await register(webhooks, tenant))["id"])
    async with log.transaction(cause=Cause("operator", uuid4())) as tx:
        foreign = Seals.of_ring(new_ring()).seal(lost, 1, "whsec_")
        changed = "UPDATE state.webhook_secrets SET sealed = :sealed WHERE webhook_id = :id"
        await tx.execute(text(changed), {"sealed": foreign, "id": lost})
    both = type(fresh)(fresh.writing, {**fresh.keys, **RING.keys})
    done = await Rekeying(log, both).run(lambda *_: None)
    assert done.resealed == 2
    assert [str(lost) in said for said in done.unreadable] == [True]
    async with log.reading() as connection:
        kept = await connection.execute(text("SELECT webhook_id, number, sealed FROM state.webhook_secrets"))
        found = {row.webhook_id: (row.number, row.sealed) for row in kept}
    opened = [Seals.of_ring(fresh).opened(UUID(one["id"]), *found[UUID(one["id"])]) for one in made]
    assert opened == [one["secret"] for one in made]
    assert (await Rekeying(log, both).run(lambda *_: None)).resealed == 0
