"""Sessions over HTTP: who is let in with a cookie or an access token, and what the first sight of a user opens."""

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from joserfc.jwk import ECKey
from pydantic import SecretStr

from pac.contracts.identity import Scope
from pac.gateway.domain import personal_account
from pac.testkit.supabase import Issuer

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Gateway, Stage

APPS = "/api/agent-apps"


def of(issuer: Issuer) -> dict[str, Any]:
    return {"supabase_issuer": issuer.url}


async def status(gateway: "Gateway", token: str) -> int:
    return (await gateway.call("GET", APPS, token)).status


async def test_a_session_is_let_in_by_cookie_and_as_bearer(stage: "Stage") -> None:
    user = uuid4()
    async with Issuer().serving() as issuer, stage.another(**of(issuer)) as gateway:
        token = issuer.token(user)
        for sent in ({"Cookie": issuer.cookie(token)}, {"Authorization": f"Bearer {token}"}):
            assert (await gateway.call("GET", APPS, headers=sent)).json == {"agent_apps": [], "next_cursor": None}
        made = await gateway.call("POST", APPS, headers={"Cookie": issuer.cookie(token)}, json={"name": "mine"})
        assert made.status == 201, made
        assert made.json["agent_app"]["account_id"] == str(personal_account(user))
        await gateway.call("GET", "/api/credits", headers={"Cookie": issuer.cookie(token)})
        caller = stage.billing.caller()
        assert (caller.actor, caller.account_id) == (f"user-{user}", personal_account(user))
        assert caller.scopes == frozenset(Scope)
        assert "Cookie" not in stage.billing.seen[-1].headers
        assert "Authorization" not in stage.billing.seen[-1].headers
        assert issuer.asked == 1


async def test_a_shared_secret_alone_serves_sessions_as_well(stage: "Stage") -> None:
    issuer = Issuer()
    async with stage.another(supabase_jwt_secret=SecretStr(issuer.secret)) as gateway:
        assert await status(gateway, issuer.token(algorithm="HS256")) == 200
        assert await status(gateway, issuer.token()) == 401


async def test_without_settings_of_sessions_only_keys_are_served(stage: "Stage") -> None:
    issuer = Issuer()
    refused = await stage.gateway.call("GET", APPS, headers={"Cookie": issuer.cookie(issuer.token())})
    assert (refused.status, refused.json["error"]) == (401, "Invalid API key or session")
    assert await status(stage.gateway, issuer.token()) == 401


async def test_what_stands_beside_the_token_in_a_cookie_does_not_count(stage: "Stage") -> None:
    user = uuid4()
    async with Issuer().serving() as issuer, stage.another(**of(issuer)) as gateway:
        cookie = issuer.cookie(issuer.token(user), id=str(uuid4()), role="service_role", email="root@example.org")
        await gateway.call("GET", "/api/credits", headers={"Cookie": cookie})
        assert stage.billing.caller().actor == f"user-{user}"


async def test_a_wrong_bearer_is_not_made_good_by_a_cookie(stage: "Stage") -> None:
    async with Issuer().serving() as issuer, stage.another(**of(issuer)) as gateway:
        for wrong in ("pac_x", "x", issuer.token(role="anon"), ""):
            sent = {"Authorization": f"Bearer {wrong}", "Cookie": issuer.cookie(issuer.token())}
            assert (await gateway.call("GET", APPS, headers=sent)).status == 401


async def test_first_requests_at_once_in_two_processes_open_one_account(stage: "Stage") -> None:
    user = uuid4()
    async with (
        Issuer().serving() as issuer,
        stage.another(**of(issuer)) as first,
        stage.another(**of(issuer)) as second,
    ):
        token = issuer.token(user)
        answers = await asyncio.gather(*(status(gateway, token) for gateway in (first, second) for _ in range(5)))
        assert set(answers) == {200}
        history = await first.log.history(f"account-{personal_account(user)}")
    assert [told.event.type for told in history] == ["AccountOpened", "MemberAdded"]
    assert {told.actor for told in history} == {f"user-{user}"}
    assert "ada" not in "".join(told.event.model_dump_json() for told in history)


async def test_nothing_of_a_person_is_kept(stage: "Stage") -> None:
    async with Issuer().serving() as issuer, stage.another(**of(issuer)) as gateway:
        assert await status(gateway, issuer.token(email="grace.hopper@example.org")) == 200
    async with await psycopg.AsyncConnection.connect(stage.database.superuser_url) as connection:
        for table in ("log.events", "state.accounts", "state.members"):
            rows = await (await connection.execute(f"SELECT t::text FROM {table} t")).fetchall()  # noqa: S608
            assert "grace.hopper" not in str(rows)


@pytest.mark.parametrize(("method", "path"), [("POST", APPS), ("DELETE", f"{APPS}/{uuid4()}")])
async def test_a_foreign_page_cannot_write_with_a_users_cookie(stage: "Stage", method: str, path: str) -> None:
    async with Issuer().serving() as issuer, stage.another(**of(issuer)) as gateway:
        token = issuer.token()
        foreign = {"Origin": "https://evil.example"}
        cookie = {"Cookie": issuer.cookie(token)}
        refused = await gateway.call(method, path, headers=cookie | foreign, json={"name": "x"})
        assert (refused.status, refused.json["code"]) == (403, "foreign_origin")
        assert (await gateway.call("GET", APPS, headers=cookie | foreign)).status == 200
        for sent in (cookie, cookie | {"Origin": gateway.url}, foreign | {"Authorization": f"Bearer {token}"}):
            assert (await gateway.call(method, path, headers=sent, json={"name": "x"})).status in {201, 404}
        stale = cookie | foreign | {"Cookie": issuer.cookie(issuer.token(exp=1))}
        assert (await gateway.call(method, path, headers=stale, json={"name": "x"})).status == 401


@pytest.mark.parametrize(("kilobytes", "status"), [(44, 200), (62, 200), (70, 431)])
async def test_a_cookie_header_may_be_as_long_as_real_ones_are(stage: "Stage", kilobytes: int, status: int) -> None:
    async with Issuer().serving() as issuer, stage.another(**of(issuer)) as gateway:
        padding = "x" * (kilobytes * 1000 * 3 // 4 - 2000)
        cookie = issuer.cookie(issuer.token(), padding=padding)
        assert abs(len(cookie) - kilobytes * 1000) < 2000
        answer = await gateway.call("GET", APPS, headers={"Cookie": cookie})
        assert answer.status == status
        if status == 431:
            assert answer.json["code"] == "headers_too_large"
            assert b"xxxx" not in answer.body


# ---- the issuer's keys ---------------------------------------------------------------------------------------------


async def test_held_keys_are_good_through_an_outage_of_the_issuer(stage: "Stage") -> None:
    async with Issuer().serving() as issuer:
        gateway_settings = {**of(issuer), "session_keys_max_age_seconds": 0.001, "session_keys_refetch_seconds": 0.001}
        async with stage.another(**gateway_settings) as gateway:
            assert await status(gateway, issuer.token()) == 200
            for issuer.status in (500, 302, 404):
                assert await status(gateway, issuer.token()) == 200
            issuer.status, issuer.published = 200, ["nonsense"]  # type: ignore[list-item]
            asked = issuer.asked
            assert await status(gateway, issuer.token()) == 200

            async def refused() -> bool:
                return await status(gateway, issuer.token()) == 401

            await stage.until(refused)  # the issuer has withdrawn its key: its word counts
            assert issuer.asked > asked


async def test_while_keys_were_never_read_the_answer_is_503_and_not_401(stage: "Stage") -> None:
    async with Issuer().serving() as issuer:
        issuer.status = 500
        async with stage.another(**of(issuer)) as gateway:
            refused = await gateway.call("GET", APPS, issuer.token())
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            issuer.status = 200

            async def accepted() -> bool:
                return await status(gateway, issuer.token()) == 200

            await stage.until(accepted)


async def test_an_unknown_key_id_is_asked_for_once_and_not_again_for_a_while(stage: "Stage") -> None:
    async with (
        Issuer().serving() as issuer,
        stage.another(**of(issuer)) as gateway,
        stage.another(**of(issuer), session_keys_refetch_seconds=0.2) as soon,
    ):
        for each in (gateway, soon):
            assert await status(each, issuer.token()) == 200
        rotated = Issuer(url=issuer.url, key_id="key-2", elliptic=ECKey.generate_key("P-256"))
        before = issuer.asked
        answers = await asyncio.gather(*(status(gateway, rotated.token(header={"kid": f"{n}"})) for n in range(20)))
        assert set(answers) == {401}
        assert issuer.asked == before
        issuer.published = [*issuer.jwks, *rotated.jwks]

        async def accepted() -> bool:
            return await status(soon, rotated.token()) == 200

        await stage.until(accepted)
        assert await status(soon, issuer.token()) == 200


async def test_a_slow_issuer_holds_up_nobody_else(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    async with Issuer().serving() as issuer, stage.another(**of(issuer)) as gateway:
        issuer.answering.clear()
        waiting = [asyncio.create_task(status(gateway, issuer.token())) for _ in range(10)]
        await issuer.being_asked.wait()
        assert await status(gateway, mine.key) == 200
        issuer.answering.set()
        assert set(await asyncio.gather(*waiting)) == {200}
        assert issuer.asked == 1
