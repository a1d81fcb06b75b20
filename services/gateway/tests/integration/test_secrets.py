"""What the gateway itself has to do with secrets, the explained environment and agents' logs."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from aiohttp import web

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STORED = {
    "is_given": True,
    "deployment_id": str(uuid4()),
    "package_id": str(uuid4()),
    "environment_of": str(uuid4()),
    "request": ["LEVEL"],
    "secrets_version": 1,
    "stored": [{"key": "TOKEN", "version": 1, "set_by": "key-1", "set_at": "2026-11-25T12:00:00Z"}],
}
PACKAGE = {"package": {"created_at": "2026-11-25T11:00:00Z", "metadata": {"env_names": ["TOKEN", "HOST"]}}}
DEPLOYMENT = {"deployment": {"created_at": "2026-11-25T11:30:00Z"}}


def saying(body: object, status: int = 200) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response(body, status=status)

    return handle


@pytest.mark.parametrize("name", ["lower", "A-B", "A.B", "%2e%2e", "A%2FB", "A%0A", "A" * 129, "%C3%84"])
async def test_what_is_no_name_of_a_secret_goes_no_further(stage: "Stage", name: str) -> None:
    tenant = await stage.gateway.account()
    for method in ("PUT", "DELETE"):
        answer = await stage.gateway.call(
            method, f"/api/agent-apps/{tenant.app_id}/secrets/{name}", tenant.key, json={"value": "x"}
        )
        assert answer.status == 404
    assert stage.notifier.seen == []


async def test_a_name_of_a_secret_goes_through_as_it_came(stage: "Stage") -> None:
    tenant = await stage.gateway.account()
    for name in ("API_TOKEN", "2FA", "A" * 128):
        path = f"/api/agent-apps/{tenant.app_id}/secrets/{name}"
        assert (await stage.gateway.call("PUT", path, tenant.key, json={"value": "x"})).status == 200
        assert stage.notifier.seen[-1].path == path


async def test_an_environment_is_explained_with_what_three_services_say(stage: "Stage") -> None:
    tenant = await stage.gateway.account()
    stage.notifier.handle, stage.packages.handle = saying(STORED), saying(PACKAGE)
    stage.deployments.handle = saying(DEPLOYMENT)
    path = f"/api/agent-apps/{tenant.app_id}/env/explain"
    answer = await stage.gateway.call("GET", path, tenant.key)
    assert answer.status == 200, answer
    assert {one["key"]: (one["wins"], one["loses"]) for one in answer.json["env"]} == {
        "HOST": (".env", []),
        "LEVEL": ("request", []),
        "TOKEN": ("provider", [".env"]),
    }
    assert answer.json["unknown"] == ["base"]
    asked = stage.notifier.caller(), stage.packages.caller(), stage.deployments.caller()
    assert {one.account_id for one in asked} == {tenant.account_id}
    assert [one.app and str(one.app.id) for one in asked] == [tenant.app_id] * 3


async def test_what_cannot_be_asked_is_left_out_and_named(stage: "Stage") -> None:
    tenant = await stage.gateway.account()
    stage.notifier.handle = saying(STORED)
    await stage.packages.stop()
    stage.deployments.handle = saying({"error": "x"}, 404)
    answer = await stage.gateway.call("GET", f"/api/agent-apps/{tenant.app_id}/env/explain", tenant.key)
    assert answer.status == 200, answer
    assert answer.json["unknown"] == [".env", "base"]
    assert [one["key"] for one in answer.json["env"]] == ["LEVEL", "TOKEN"]
    assert "set_at" not in answer.json["env"][0]["sources"][0]


async def test_without_the_service_that_knows_nothing_is_explained(stage: "Stage") -> None:
    tenant = await stage.gateway.account()
    path = f"/api/agent-apps/{tenant.app_id}/env/explain"
    assert (await stage.gateway.call("GET", path, tenant.key)).status == 503  # an answer of another shape
    await stage.notifier.stop()
    assert (await stage.gateway.call("GET", path, tenant.key)).status == 503


async def test_a_deployment_that_has_not_reached_a_runtime_has_no_logs_yet(stage: "Stage") -> None:
    tenant = await stage.gateway.account()
    stage.notifier.handle = saying({"error": "Deployment not found"}, 404)
    path = f"/api/deployments/{uuid4()}/logs"
    early = await stage.gateway.call("GET", path, tenant.key)  # packages knows it
    assert (early.status, early.json["code"], early.headers["Retry-After"]) == (409, "no_logs", "1")
    stage.packages.handle = saying({}, 404)
    assert (await stage.gateway.call("GET", path, tenant.key)).status == 404
    await stage.packages.stop()
    assert (await stage.gateway.call("GET", path, tenant.key)).status == 503
