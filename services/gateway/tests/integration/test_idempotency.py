"""What the gateway makes itself is made once per Idempotency-Key; a key shown once is not readable in its table."""

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Answer, Stage

ADMIN_KEY = "operator-of-the-tests"
KEYS = (f"key-{number}" for number in itertools.count())


async def post(stage: "Stage", path: str, key: str, name: str, idempotency_key: str) -> "Answer":
    headers = {"Idempotency-Key": idempotency_key}
    return await stage.gateway.call("POST", path, key, json={"name": name}, headers=headers)


async def listed(stage: "Stage", what: str, key: str) -> list[dict[str, Any]]:
    answer = await stage.gateway.call("GET", f"/api/{what.replace('_', '-')}", key)
    found: list[dict[str, Any]] = json.loads(answer.body)[what]
    return found


async def test_twenty_requests_for_an_app_make_one(stage: "Stage") -> None:
    tenant, key = await stage.gateway.account("twenty"), next(KEYS)
    before = len(await listed(stage, "agent_apps", tenant.key))
    sent = (post(stage, "/api/agent-apps", tenant.key, "mine", key) for _ in range(20))
    answers = await asyncio.gather(*sent)
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert sum(answer.headers.get("Idempotent-Replayed") == "true" for answer in answers) == 19
    assert len(await listed(stage, "agent_apps", tenant.key)) == before + 1
    other = await post(stage, "/api/agent-apps", tenant.key, "another", key)
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")


async def test_a_new_key_is_shown_again_and_kept_sealed(stage: "Stage") -> None:
    tenant, key = await stage.gateway.account("sealed"), next(KEYS)
    first = await post(stage, "/api/api-keys", tenant.key, "ci", key)
    again = await post(stage, "/api/api-keys", tenant.key, "ci", key)
    assert (first.status, again.body) == (201, first.body)
    shown = first.json["api_key"]["key"]
    assert (await stage.gateway.call("GET", "/api/agent-apps", shown)).status == 200
    async with stage.gateway.log.reading() as connection:
        kept = [bytes(row[0] or b"") for row in await connection.execute(text("SELECT answer FROM state.claims"))]
    assert kept
    assert not any(shown.encode() in answer or b"api_key" in answer for answer in kept)


async def test_an_operators_account_and_two_accounts_keys_do_not_meet(stage: "Stage") -> None:
    key = next(KEYS)
    opened = [await post(stage, "/api/admin/accounts", ADMIN_KEY, "new", key) for _ in range(2)]
    assert opened[0].body == opened[1].body
    one, two = await stage.gateway.account("one"), await stage.gateway.account("two")
    apps = [await post(stage, "/api/agent-apps", tenant.key, "app", key) for tenant in (one, two)]
    assert [answer.status for answer in apps] == [201, 201]
    assert apps[0].body != apps[1].body


async def test_nobody_without_a_key_of_ours_claims_anything(stage: "Stage") -> None:
    refused = await post(stage, "/api/agent-apps", "pac_nobody", "x", next(KEYS))
    assert refused.status == 401
    tenant = await stage.gateway.account("long")
    assert (await post(stage, "/api/agent-apps", tenant.key, "x", "k" * 256)).status == 400
