"""Back to what ran before, pinned until it is released; and a stop: what users see, and what really runs."""

import json
from pathlib import Path
from typing import Any

from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import Answer, Pac, Tenant
from pac.testkit.runtime import LocalRuntime


async def test_rollback_pin_release_and_stop(pac: Pac, tenant: Tenant, folder: Path, runtime: LocalRuntime) -> None:
    app = f"/api/agent-apps/{tenant.app_id}"

    async def app_shows(**expected: Any) -> dict[str, Any]:
        """The gateway hears of it a moment after the hub has said so."""

        async def shown() -> dict[str, Any] | None:
            view = (await pac.call("GET", app, tenant.key)).body["agent_app"]
            view["version"] = (view["current_release"] or {}).get("version")
            return view if expected.items() <= view.items() else None

        return await eventually(shown) or {}

    async def completed(answer: Answer) -> str:
        assert answer.status == 202, answer
        deployment = str(answer.body["deployment"]["id"])
        ended = await pac.ended(deployment, tenant.key)
        assert ended["status"] == "completed", ended
        return deployment

    async def deployed(version: str, **fields: Any) -> str:
        return await completed(await pac.deploy(tenant, packed_agent(folder, version=version), version, **fields))

    async def running() -> list[str]:
        url, secret = pac.status["runtime_url"], pac.status["runtime_secret"]
        listed = await pac.call("GET", f"{url}/deployments", secret)
        mine = [one for one in listed.body["deployments"] if one.get("agentAppId") == tenant.app_id]
        return [one["id"] for one in mine if one["status"] == "healthy"]

    async def runs(deployment: str | None) -> bool:
        wires = await running()
        return len(wires) == 1 and wires[0].startswith(deployment) if deployment else not wires

    await deployed("1.0.0", environment=json.dumps({"T_REQUEST": "of the first"}))
    second = await deployed("2.0.0")
    assert await runs(second)
    spent = (await pac.call("GET", "/api/credits", tenant.key)).body["spent"]

    back = await completed(await pac.call("POST", f"{app}/rollback", tenant.key))
    assert await runs(back)
    assert (await runtime.invoke(back, {}))["environment"]["T_REQUEST"] == "of the first"
    assert (await pac.call("GET", "/api/credits", tenant.key)).body["spent"] == spent, "it costs nothing"
    await app_shows(pinned=True, version="1.0.0")

    third = await deployed("3.0.0")
    shown = (await pac.call("GET", f"/api/deployments/{third}", tenant.key)).body["deployment"]
    steps = {step["name"]: step.get("skipped") for step in shown["progress"]["steps"]}
    assert (shown["pinned"], steps["notify_runtime"]) == (True, True)
    assert await runs(back)
    await app_shows(pinned=True, version="1.0.0")

    released = await pac.call("POST", f"{app}/release", tenant.key)
    assert (released.status, released.body["agent_app"]["pinned"]) == (200, False)
    fourth = await deployed("4.0.0")
    assert await runs(fourth)
    await app_shows(pinned=False, stopped=False, version="4.0.0")

    stopped = await pac.call("POST", f"{app}/stop", tenant.key)
    assert (stopped.status, stopped.body["agent_app"]["stopped"]) == (200, True)
    await eventually(lambda: runs(None))
    await app_shows(stopped=True, version="4.0.0")
    again = await completed(await pac.call("POST", f"{app}/rollback", tenant.key, json={"to": fourth}))
    assert await runs(again)
    await app_shows(stopped=False, pinned=True, version="4.0.0")
