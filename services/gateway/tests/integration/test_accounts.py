"""Accounts, agent apps and API keys over HTTP, and what of them is in the log."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from aiohttp import web

from pac.contracts.gateway import AgentAppChanged

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage

ADMIN_KEY = "operator-of-the-tests"


async def unused(_: web.Request) -> web.StreamResponse:
    return web.json_response({"used_by": []})


async def test_a_new_app_has_the_published_shape(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    made = await stage.gateway.call("POST", "/api/agent-apps", mine.key, json={"name": "echo"})
    app = made.json["agent_app"]
    assert made.status == 201
    assert {key: value for key, value in app.items() if key not in {"id", "created_at"}} == {
        "name": "echo",
        "account_id": str(mine.account_id),
        "current_release": None,
        "pinned": False,
        "stopped": False,
        "signature_policy": "optional",
        "runtime": "default",
        "deploy_policy": "manual",
    }
    read = await stage.gateway.call("GET", f"/api/agent-apps/{app['id']}", mine.key)
    assert read.json["agent_app"] == app


async def test_an_app_changes_and_is_deleted(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    path = f"/api/agent-apps/{mine.app_id}"
    changed = await stage.gateway.call(
        "PATCH", path, mine.key, json={"name": "renamed", "signature_policy": "required"}
    )
    assert changed.status == 200, changed
    assert changed.json["agent_app"]["name"] == "renamed"
    assert changed.json["agent_app"]["signature_policy"] == "required"
    stage.packages.handle = unused
    assert (await stage.gateway.call("DELETE", path, mine.key)).status == 200
    assert (await stage.gateway.call("GET", path, mine.key)).status == 404
    assert (await stage.gateway.call("DELETE", path, mine.key)).status == 404
    assert (await stage.gateway.call("GET", "/api/agent-apps", mine.key)).json["agent_apps"] == []
    history = await stage.gateway.log.history(f"app-{mine.app_id}")
    assert [told.event.type for told in history] == ["AgentAppCreated", "AgentAppChanged", "AgentAppDeleted"]
    assert {told.actor for told in history} == {f"key-{mine.key_id}"}


async def test_an_app_chooses_a_runtime_that_there_is(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    path = f"/api/agent-apps/{mine.app_id}"
    refused = await stage.gateway.call("PATCH", path, mine.key, json={"runtime": "atlantis", "name": "renamed"})
    assert (refused.status, refused.json["details"]) == (
        400,
        ["runtime: There is none of that name; known: default, europe"],
    )
    for _ in range(2):
        chosen = await stage.gateway.call("PATCH", path, mine.key, json={"runtime": "europe"})
        assert (chosen.status, chosen.json["agent_app"]["runtime"]) == (200, "europe")
    back = await stage.gateway.call("PATCH", path, mine.key, json={"runtime": "default"})
    assert back.json["agent_app"]["runtime"] == "default"
    assert back.json["agent_app"]["signature_policy"] == "optional"
    changes = [told.event for told in await stage.gateway.log.history(f"app-{mine.app_id}")][1:]
    assert [(each.runtime, each.signature_policy) for each in changes if isinstance(each, AgentAppChanged)] == [
        ("europe", None),
        ("default", None),
    ]


async def test_an_app_says_what_a_change_of_its_secrets_does(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    path = f"/api/agent-apps/{mine.app_id}"
    refused = await stage.gateway.call("PATCH", path, mine.key, json={"deploy_policy": "members"})
    assert refused.status == 400
    for policy in ("on_secrets", "on_secrets", "manual"):
        changed = await stage.gateway.call("PATCH", path, mine.key, json={"deploy_policy": policy})
        assert (changed.status, changed.json["agent_app"]["deploy_policy"]) == (200, policy)
    changes = [told.event for told in await stage.gateway.log.history(f"app-{mine.app_id}")][1:]
    assert [each.deploy_policy for each in changes if isinstance(each, AgentAppChanged)] == ["on_secrets", "manual"]


async def test_lists_come_in_pages_without_gap_or_double(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    for number in range(4):
        await stage.gateway.call("POST", "/api/agent-apps", mine.key, json={"name": f"app {number}"})
    names, cursor = [], ""
    while True:
        query = f"?limit=2{'&cursor=' + cursor if cursor else ''}"
        page = (await stage.gateway.call("GET", f"/api/agent-apps{query}", mine.key)).json
        names += [app["name"] for app in page["agent_apps"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert names == ["app of account", "app 0", "app 1", "app 2", "app 3"]
    bad = await stage.gateway.call("GET", "/api/agent-apps?cursor=WyJ4IiwieSJd", mine.key)
    assert bad.status == 400
    assert bad.json["details"] == ["cursor: not one that this list has given out"]


async def test_a_key_is_shown_once(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    made = await stage.gateway.call("POST", "/api/api-keys", mine.key, json={"name": "ci"})
    key = made.json["api_key"]
    assert made.status == 201
    assert key["key"].startswith("pac_")
    assert key["last4"] == key["key"][-4:]
    assert key["scopes"] == ["deploy", "read"]
    listed = await stage.gateway.call("GET", "/api/api-keys", mine.key)
    assert key["key"].encode() not in listed.body
    assert [row["name"] for row in listed.json["api_keys"]] == ["test", "ci"]
    assert listed.json["api_keys"][1] == {name: value for name, value in key.items() if name != "key"}
    assert (key["prefix"], key["last_used_at"], key["expires_at"]) == ("pac_", None, None)

    async def shown_as_used() -> bool:
        shown = (await stage.gateway.call("GET", "/api/api-keys", mine.key)).json["api_keys"]
        assert shown[1]["last_used_at"] is None
        return shown[0]["last_used_at"] is not None

    await stage.until(shown_as_used)


async def test_a_revoked_keys_name_is_erased(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    other = await stage.gateway.key(mine.account_id, name="Grace's laptop")
    await stage.gateway.call("DELETE", f"/api/api-keys/{other['id']}", mine.key)
    async with await psycopg.AsyncConnection.connect(stage.database.superuser_url) as connection:
        cursor = await connection.execute("SELECT name FROM state.api_keys WHERE id = %s", [other["id"]])
        assert await cursor.fetchall() == [("",)]


async def test_neither_names_nor_keys_are_in_the_log(stage: "Stage") -> None:
    mine = await stage.gateway.account("Ada Lovelace")
    made = await stage.gateway.call("POST", "/api/api-keys", mine.key, json={"name": "Ada's laptop"})
    secret = made.json["api_key"]["key"]
    async with await psycopg.AsyncConnection.connect(stage.database.superuser_url) as connection:
        cursor = await connection.execute("SELECT data::text || metadata::text FROM log.events ORDER BY position")
        everything = "\n".join(row[0] for row in await cursor.fetchall())
        stored = str(await (await connection.execute("SELECT * FROM state.api_keys")).fetchall())
    assert "ApiKeyCreated" in everything
    for personal in ("Ada", "laptop", "app of", secret, secret[4:]):
        assert personal not in everything
    assert secret not in stored


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"name": " \n"}, "name: Must have 1 to 100 characters"),
        ({"name": "x" * 101}, "name: Must have 1 to 100 characters"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0: Input should be 'deploy', 'read', 'secrets' or 'admin'"),
        ({"name": "x", "scopes": []}, "scopes: Frozenset should have at least 1 item after validation, not 0"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at: Must be in the future"),
        ({"name": "x", "owner": "me"}, "owner: Unknown field"),
        ({}, "name: Field required"),
    ],
)
async def test_a_wrong_wish_for_a_key_says_what_is_wrong(stage: "Stage", body: dict[str, object], detail: str) -> None:
    mine = await stage.gateway.account()
    refused = await stage.gateway.call("POST", "/api/api-keys", mine.key, json=body)
    assert refused.status == 400
    assert refused.json["details"] == [detail]


async def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_within_five_seconds(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    other = await stage.gateway.key(mine.account_id)
    async with stage.another() as second:
        for gateway in (stage.gateway, second):
            assert (await gateway.call("GET", "/api/agent-apps", other["key"])).status == 200
        revoked = await stage.gateway.call("DELETE", f"/api/api-keys/{other['id']}", mine.key)
        assert revoked.status == 200
        assert (await stage.gateway.call("GET", "/api/agent-apps", other["key"])).status == 401

        async def refused_elsewhere() -> bool:
            return (await second.call("GET", "/api/agent-apps", other["key"])).status == 401

        await stage.until(refused_elsewhere, seconds=5.0)
        assert (await stage.gateway.call("DELETE", f"/api/api-keys/{other['id']}", mine.key)).status == 200


async def test_a_key_ends_at_its_time(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    ends = datetime.now(UTC) + timedelta(seconds=0.6)
    short = await stage.gateway.key(mine.account_id, expires_at=ends.isoformat())
    assert (await stage.gateway.call("GET", "/api/agent-apps", short["key"])).status == 200

    async def refused() -> bool:
        return (await stage.gateway.call("GET", "/api/agent-apps", short["key"])).status == 401

    await stage.until(refused)
    assert datetime.now(UTC) >= ends


async def test_a_key_of_another_account_cannot_be_revoked(stage: "Stage") -> None:
    mine, theirs = await stage.gateway.account(), await stage.gateway.account()
    answers = [
        await stage.gateway.call("DELETE", f"/api/api-keys/{key_id}", mine.key)
        for key_id in (theirs.key_id, uuid4(), "not-an-id")
    ]
    assert {answer.status for answer in answers} == {404}
    assert {answer.json["error"] for answer in answers} == {"API key not found"}
    assert (await stage.gateway.call("GET", "/api/agent-apps", theirs.key)).status == 200


async def test_only_the_operator_opens_accounts(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    for key, status in ((None, 401), ("x", 401), (mine.key, 403)):
        refused = await stage.gateway.call("POST", "/api/admin/accounts", key, json={"name": "x"})
        assert refused.status == status
    unknown = await stage.gateway.call("POST", f"/api/admin/accounts/{uuid4()}/api-keys", ADMIN_KEY, json={"name": "x"})
    assert unknown.status == 404
    assert unknown.json["error"] == "Account not found"
    history = await stage.gateway.log.history(f"account-{mine.account_id}")
    assert [(told.event.type, told.actor) for told in history] == [("AccountOpened", "operator")]


async def test_the_correlation_is_the_request(stage: "Stage") -> None:
    mine, request_id = await stage.gateway.account(), str(uuid4())
    made = await stage.gateway.call(
        "POST", "/api/agent-apps", mine.key, json={"name": "x"}, headers={"X-Request-Id": request_id}
    )
    history = await stage.gateway.log.history(f"app-{made.json['agent_app']['id']}")
    assert history[0].correlation_id == UUID(request_id)
    assert made.headers["X-Request-Id"] == request_id


async def test_health_says_nothing_about_the_inside(stage: "Stage") -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        answer = await stage.gateway.call("GET", path)
        assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert (await stage.gateway.call("GET", "/metrics")).status == 404
