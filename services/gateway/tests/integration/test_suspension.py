"""A suspended account is read by everybody who may, and changed by nobody but the operator."""

import re
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from pac.gateway.routes import ROUTES, Forward, Own

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Answer, SessionStage, Tenant

ADMIN_KEY = "operator-of-the-tests"
READS = frozenset({"GET"})


async def suspend(lasting: "SessionStage", tenant: "Tenant", method: str = "POST") -> "Answer":
    path = f"/api/admin/accounts/{tenant.account_id}/suspension"
    return await lasting.gateway.call(method, path, ADMIN_KEY)


async def test_a_suspended_account_reads_and_does_not_write(lasting: "SessionStage") -> None:
    gateway, tenant, user = lasting.gateway, await lasting.gateway.account(), uuid4()
    members = f"/api/accounts/{tenant.account_id}/members"
    await gateway.call("POST", members, tenant.key, json={"user_id": str(user), "role": "owner"})
    key = {"Authorization": f"Bearer {tenant.key}"}
    session = {"Cookie": lasting.issuer.cookie(lasting.issuer.token(user)), "PAC-Account": str(tenant.account_id)}
    assert (await gateway.call("GET", "/api/agent-apps", headers=session)).status == 200
    suspended = await suspend(lasting, tenant)
    assert suspended.status == 200
    assert suspended.json["account"]["suspended_at"] is not None
    for headers in (key, session):
        assert (await gateway.call("GET", "/api/agent-apps", headers=headers)).status == 200
        refused = await gateway.call("POST", "/api/agent-apps", headers=headers, json={"name": "x"})
        assert (refused.status, refused.json["code"]) == (403, "account_suspended")
        assert refused.reason == "This account is suspended: it can be read, but nothing of it changed"
    accounts = (await gateway.call("GET", "/api/accounts", headers=session)).json["accounts"]
    assert [row["suspended_at"] is None for row in accounts] == [True, False]
    # The user's own account is another one.
    own = {"Cookie": session["Cookie"]}
    assert (await gateway.call("POST", "/api/agent-apps", headers=own, json={"name": "x"})).status == 201
    assert (await suspend(lasting, tenant)).status == 200  # again: nothing new
    resumed = await suspend(lasting, tenant, "DELETE")
    assert (resumed.status, resumed.json["account"]["suspended_at"]) == (200, None)
    assert (await gateway.call("POST", "/api/agent-apps", headers=key, json={"name": "x"})).status == 201
    history = await gateway.log.history(f"account-{tenant.account_id}")
    types = [told.event.type for told in history]
    assert types == ["AccountOpened", "MemberAdded", "AccountSuspended", "AccountResumed"]
    assert {told.actor for told in history[2:]} == {"operator"}


WRITES = [route for route in ROUTES if route.method not in READS and not (route.public or route.operator)]


@pytest.mark.parametrize("route", WRITES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_write_is_refused(lasting: "SessionStage", route: Forward | Own) -> None:
    tenant = await lasting.gateway.account()
    await suspend(lasting, tenant)
    ids = {
        "app_id": tenant.app_id,
        "account_id": tenant.account_id,
        "key_id": tenant.key_id,
        "secret_name": "API_TOKEN",
    }
    path = re.sub(r"\{(\w+)\}", lambda name: str(ids.get(name[1], uuid4())), route.path)
    stage = lasting.stage
    upstreams = (stage.packages, stage.deployments, stage.notifier)
    asked = sum(len(upstream.seen) for upstream in upstreams)
    refused = await lasting.gateway.call(route.method, path, tenant.key, json={})
    assert (refused.status, refused.json["code"]) == (403, "account_suspended")
    assert sum(len(upstream.seen) for upstream in upstreams) == asked


async def test_a_suspension_holds_elsewhere_within_five_seconds(lasting: "SessionStage") -> None:
    tenant = await lasting.gateway.account()
    async with lasting.stage.another() as second:
        assert (await second.call("POST", "/api/agent-apps", tenant.key, json={"name": "x"})).status == 201
        began = time.monotonic()
        await suspend(lasting, tenant)

        async def refused() -> bool:
            return (await second.call("POST", "/api/agent-apps", tenant.key, json={"name": "x"})).status == 403

        await lasting.stage.until(refused, seconds=5.0 - (time.monotonic() - began))


async def test_only_an_existing_account_is_suspended(lasting: "SessionStage") -> None:
    refused = await lasting.gateway.call("POST", f"/api/admin/accounts/{uuid4()}/suspension", ADMIN_KEY)
    assert (refused.status, refused.json["error"]) == (404, "Account not found")
    tenant = await lasting.gateway.account()
    path = f"/api/admin/accounts/{tenant.account_id}/suspension"
    assert (await lasting.gateway.call("POST", path, ADMIN_KEY, json={"reason": "x"})).status == 400
