"""Members of accounts: what their roles let them do, which account a request of theirs is for, and until when."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from pac.contracts.identity import Scope
from pac.gateway.domain import personal_account

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Answer, SessionStage, Tenant, Upstream

ACCOUNTS = "/api/accounts"


@dataclass(frozen=True)
class User:
    id: UUID
    headers: dict[str, str]

    def of(self, account_id: object) -> dict[str, str]:
        return {**self.headers, "PAC-Account": str(account_id)}


def user_of(lasting: "SessionStage") -> User:
    user_id = uuid4()
    return User(user_id, {"Cookie": lasting.issuer.cookie(lasting.issuer.token(user_id))})


async def put(lasting: "SessionStage", tenant: "Tenant", user_id: object, role: str) -> "Answer":
    path = f"{ACCOUNTS}/{tenant.account_id}/members"
    return await lasting.gateway.call("POST", path, tenant.key, json={"user_id": str(user_id), "role": role})


async def test_a_member_is_added_changed_listed_and_removed(lasting: "SessionStage") -> None:
    gateway, team, user = lasting.gateway, await lasting.gateway.account("team"), user_of(lasting)
    added = await put(lasting, team, user.id, "viewer")
    assert (added.status, added.json["member"]["role"]) == (201, "viewer")
    changed = await put(lasting, team, user.id, "member")
    assert (changed.status, changed.json["member"]["role"]) == (200, "member")
    assert changed.json["member"]["created_at"] == added.json["member"]["created_at"]
    path = f"{ACCOUNTS}/{team.account_id}/members"
    listed = await gateway.call("GET", path, headers=user.headers)
    assert listed.json == {"members": [changed.json["member"]], "next_cursor": None}
    assert (await gateway.call("DELETE", f"{path}/{user.id}", team.key)).status == 200
    again = await gateway.call("DELETE", f"{path}/{user.id}", team.key)
    assert (again.status, again.json["error"]) == (404, "Member not found")
    gone = await gateway.call("GET", path, headers=user.headers)
    assert (gone.status, gone.json["error"]) == (404, "Account not found")
    history = await gateway.log.history(f"account-{team.account_id}")
    types = [told.event.type for told in history]
    assert types == ["AccountOpened", "MemberAdded", "MemberChanged", "MemberRemoved"]
    assert {told.actor for told in history[1:]} == {f"key-{team.key_id}"}


async def test_a_user_sees_their_accounts_the_personal_one_first(lasting: "SessionStage") -> None:
    gateway, team, user = lasting.gateway, await lasting.gateway.account("team"), user_of(lasting)
    await put(lasting, team, user.id, "viewer")  # before they were ever seen
    listed = (await gateway.call("GET", ACCOUNTS, headers=user.headers)).json["accounts"]
    shown = [(row["id"], row["name"], row["role"], row["personal"]) for row in listed]
    assert shown == [
        (str(personal_account(user.id)), "Personal account", "owner", True),
        (str(team.account_id), "team", "viewer", False),
    ]
    of_key = (await gateway.call("GET", ACCOUNTS, team.key)).json["accounts"]
    assert [(row["id"], row["role"]) for row in of_key] == [(str(team.account_id), None)]


async def test_an_app_is_reached_in_its_own_account_without_naming_it(lasting: "SessionStage") -> None:
    gateway, team, user = lasting.gateway, await lasting.gateway.account(), user_of(lasting)
    await put(lasting, team, user.id, "member")
    app = f"/api/agent-apps/{team.app_id}"
    assert (await gateway.call("GET", app, headers=user.headers)).status == 200
    await gateway.call("POST", f"{app}/packages/deploy", headers=user.headers, data=b"x")
    caller = lasting.stage.packages.caller()
    assert (caller.account_id, caller.actor) == (team.account_id, f"user-{user.id}")
    assert caller.scopes == {Scope.DEPLOY, Scope.READ, Scope.SECRETS}
    refused = await gateway.call("PATCH", app, headers=user.headers, json={"name": "x"})
    assert (refused.status, refused.json["error"]) == (403, "Your role in this account lacks the scope admin")
    assert (await gateway.call("GET", app, headers=user.of(personal_account(user.id)))).status == 404


async def test_a_header_chooses_the_account(lasting: "SessionStage") -> None:
    gateway, team, user = lasting.gateway, await lasting.gateway.account(), user_of(lasting)
    await put(lasting, team, user.id, "viewer")
    for headers, account_id in (
        (user.headers, personal_account(user.id)),
        (user.of(team.account_id), team.account_id),
    ):
        await gateway.call("GET", "/api/credits", headers=headers)
        assert lasting.stage.billing.caller().account_id == account_id
        assert "PAC-Account" not in lasting.stage.billing.seen[-1].headers
    made = await gateway.call("POST", "/api/agent-apps", headers=user.of(team.account_id), json={"name": "x"})
    assert made.status == 403


def knowing(upstream: "Upstream", account_id: UUID, deployment_id: UUID) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        if upstream.caller().account_id == account_id and str(deployment_id) in request.path:
            return web.json_response({"deployment": {"id": str(deployment_id), "status": "queued"}})
        return web.json_response({"error": "Deployment not found"}, status=404)

    return handle


@pytest.mark.parametrize("knows", ["deployments", "packages"])
async def test_a_deployment_of_any_of_ones_accounts_is_found_without_naming_it(
    lasting: "SessionStage", knows: str
) -> None:
    gateway, team, user, deployment_id = lasting.gateway, await lasting.gateway.account(), user_of(lasting), uuid4()
    await put(lasting, team, user.id, "viewer")
    stage, path = lasting.stage, f"/api/deployments/{deployment_id}"
    before = stage.deployments.handle, stage.packages.handle
    try:
        for upstream in (stage.deployments, stage.packages):
            known = deployment_id if upstream.name.value == knows else uuid4()
            upstream.handle = knowing(upstream, team.account_id, known)
        for _ in range(2):
            found = await gateway.call("GET", path, headers=user.headers)
            assert (found.status, found.json["deployment"]["id"]) == (200, str(deployment_id))
        unknown = await gateway.call("GET", f"/api/deployments/{uuid4()}", headers=user.headers)
        assert (unknown.status, unknown.json["error"]) == (404, "Deployment not found")
        stranger = await gateway.call("GET", path, headers=user_of(lasting).headers)
        assert stranger.status == 404
    finally:
        stage.deployments.handle, stage.packages.handle = before


async def test_while_a_service_that_may_know_is_away_nobody_is_told_that_there_is_no_deployment(
    lasting: "SessionStage",
) -> None:
    team, user, stage = await lasting.gateway.account(), user_of(lasting), lasting.stage
    await put(lasting, team, user.id, "viewer")

    async def broken(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=500)

    before = stage.deployments.handle
    async with stage.another(supabase_issuer=lasting.issuer.url, status_patience_seconds=0) as gateway:
        try:
            stage.deployments.handle = broken
            stage.packages.handle = knowing(stage.packages, team.account_id, uuid4())
            answer = await gateway.call("GET", f"/api/deployments/{uuid4()}", headers=user.headers)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        finally:
            stage.deployments.handle = stage.packages.handle = before


async def test_a_membership_ends_here_at_once_and_elsewhere_within_five_seconds(lasting: "SessionStage") -> None:
    gateway, team, user = lasting.gateway, await lasting.gateway.account(), user_of(lasting)
    await put(lasting, team, user.id, "viewer")
    app = f"/api/agent-apps/{team.app_id}"
    async with lasting.stage.another(supabase_issuer=lasting.issuer.url) as second:
        for each in (gateway, second):
            assert (await each.call("GET", app, headers=user.headers)).status == 200
        began = time.monotonic()
        await gateway.call("DELETE", f"{ACCOUNTS}/{team.account_id}/members/{user.id}", team.key)
        assert (await gateway.call("GET", app, headers=user.headers)).status == 404

        async def refused_elsewhere() -> bool:
            return (await second.call("GET", app, headers=user.headers)).status == 404

        await lasting.stage.until(refused_elsewhere, seconds=5.0 - (time.monotonic() - began))


async def test_a_personal_account_may_be_shared_and_keeps_its_owner(lasting: "SessionStage") -> None:
    gateway, owner, guest = lasting.gateway, user_of(lasting), user_of(lasting)
    own = personal_account(owner.id)
    await gateway.call("GET", ACCOUNTS, headers=owner.headers)
    members = f"{ACCOUNTS}/{own}/members"
    added = await gateway.call("POST", members, headers=owner.headers, json={"user_id": str(guest.id), "role": "owner"})
    assert added.status == 201, added
    refused = await gateway.call("DELETE", f"{members}/{owner.id}", headers=guest.headers)
    assert (refused.status, refused.json["error"]) == (409, "The owner of a personal account stays its owner")
    wrong = await gateway.call("POST", members, headers=owner.headers, json={"user_id": "ada", "role": "king"})
    assert wrong.status == 400
    assert [line.split(":")[0] for line in wrong.json["details"]] == ["user_id", "role"]
