"""Fifty planted values through every path into an agent: it gets them in the right order, and they are nowhere else."""

import json
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.build import write_package
from pac.contracts.topics import ServiceName
from pac.testkit.agents import packed_agent, write_agent
from pac.testkit.described import contract
from pac.testkit.eventually import eventually
from pac.testkit.leaks import found
from pac.testkit.pac_up import Answer, Pac, Tenant, command
from pac.testkit.runtime import LocalRuntime
from pac.testkit.whole import World

SPEAKS = """\
import os
import sys

for name, value in sorted(os.environ.items()):
    if name.startswith("T_"):
        print(name, "is", value, flush=True)


def handler(context):
    print("asked for", context, file=sys.stderr, flush=True)
    return {name: value for name, value in os.environ.items() if name.startswith("T_")}
"""
BREAKS = """\
import os

raise RuntimeError("cannot start with " + " ".join(v for n, v in sorted(os.environ.items()) if n.startswith("T_P")))
"""


@dataclass
class Planted:
    """25 values in the deploy request, 25 stored; five names are in both, five in `.env` as well."""

    request: dict[str, str] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)

    @classmethod
    def fresh(cls) -> "Planted":
        request = {f"T_P{number:02}": f"planted-{secrets.token_hex(16)}" for number in range(25)}
        stored = {f"T_P{number:02}": f"planted-{secrets.token_hex(16)}" for number in range(20, 45)}
        return cls(request, stored)

    @property
    def values(self) -> list[str]:
        return [*self.request.values(), *self.stored.values()]


@dataclass
class Answers:
    """What PAC has answered, but for the one path that is there to show values."""

    seen: list[str] = field(default_factory=list)

    def watch(self, method: str, path: str, answer: Answer) -> None:
        contract().check(method, path, answer.status, answer.headers, answer.body)
        if not (method == "GET" and path.endswith("/secrets")):
            self.seen.append(f"{method} {path} {answer.reason} {json.dumps(answer.body)} {dict(answer.headers)}")


async def save(pac: Pac, tenant: Tenant, method: str, more: str, body: Any) -> Answer:
    return await pac.call(method, f"/api/agent-apps/{tenant.app_id}/secrets{more}", tenant.key, json=body)


@pytest.mark.timeout(300)
async def test_fifty_planted_values_reach_the_agent_in_order_and_nothing_else(
    pac: Pac, tenant: Tenant, runtime: LocalRuntime, folder: Path
) -> None:
    planted, answers = Planted.fresh(), Answers()
    assert len(set(planted.values)) == 50
    pac = replace(pac, watch=answers.watch)
    # Stored: one by one, all at once, changed, deleted, restored.
    first, *_ = planted.stored
    assert (await save(pac, tenant, "PUT", f"/{first}", {"value": planted.stored[first]})).status == 200
    assert (await save(pac, tenant, "POST", "", {"secrets": planted.stored})).status == 200
    assert (await save(pac, tenant, "PUT", f"/{first}", {"value": planted.request[first]})).status == 200
    assert (await save(pac, tenant, "DELETE", "", {})).status == 200
    assert (await save(pac, tenant, "POST", "/restore", {"version": 2})).status == 200
    kept = await pac.call("GET", f"/api/agent-apps/{tenant.app_id}/secrets", tenant.key)
    assert kept.body["secrets"] == planted.stored

    dotenv = "".join(f"T_P{number:02}=from-dotenv\n" for number in (0, 20, 30, 48, 49))
    package = write_package(write_agent(folder / "agent", main=SPEAKS, env=dotenv), folder)
    accepted = await pac.deploy(tenant, package, "1.0.0", environment=json.dumps(planted.request))
    assert accepted.status == 202, accepted
    deployment = accepted.body["deployment"]["id"]
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    seen = await runtime.invoke(deployment, {"text": "hello"})
    assert {name: value for name, value in seen.items() if name.startswith("T_P")} == {
        "T_P48": "from-dotenv",
        "T_P49": "from-dotenv",
        **planted.stored,
        **planted.request,
    }

    await explained(pac, tenant, deployment, planted)
    await spoken(pac, tenant, deployment)
    await broken(pac, tenant, folder, planted)
    await misused(pac, tenant, package, planted)

    answered = [one for one in answers.seen if any(value in one for value in planted.values)]
    assert answered == []
    assert await found(pac, planted.values) == set()
    # The search finds what is there: ids everywhere, names in the books of the notifier, a value of `.env` in nothing
    # but the package, where it is compressed.
    places = await found(pac, [deployment])
    assert {place.partition(" ")[0] for place in places} >= {"table", "topic", "file", "object"}
    assert "file traces.jsonl" in places
    assert "table runtime_notifier.state.secrets" in await found(pac, [first])


async def explained(pac: Pac, tenant: Tenant, deployment: str, planted: Planted) -> None:
    async def asked() -> Answer:
        answer = await pac.call("GET", f"/api/agent-apps/{tenant.app_id}/env/explain", tenant.key)
        assert answer.status == 200, answer
        return answer

    async def is_of_it() -> bool:
        """A moment after it is completed the notifier has heard so."""
        return bool((await asked()).body["deployment_id"] == deployment)

    await eventually(is_of_it)
    answer = await asked()
    told = {one["key"]: (one["wins"], one["loses"]) for one in answer.body["env"]}
    assert told["T_P00"] == ("request", [".env"])
    assert told["T_P20"] == ("request", ["provider", ".env"])
    assert told["T_P30"] == ("provider", [".env"])
    assert told["T_P44"] == ("provider", [])
    assert told["T_P49"] == (".env", [])
    assert told.keys() == {*planted.request, *planted.stored, "T_P48", "T_P49"}
    assert (answer.body["deployment_id"], answer.body["unknown"]) == (deployment, ["base"])
    sources = {one["key"]: one["sources"] for one in answer.body["env"]}
    assert [source["layer"] for source in sources["T_P20"]] == ["request", "provider", ".env"]
    assert all("set_at" in source for one in sources.values() for source in one)


async def spoken(pac: Pac, tenant: Tenant, deployment: str) -> None:
    """An agent that prints its environment; what it was given is taken out."""
    path = f"/api/deployments/{deployment}/logs"

    async def printed() -> bool:
        """A moment later it is there: it comes through a pipe."""
        page = await pac.call("GET", path, tenant.key)
        assert page.status == 200, page
        lines = [line["text"] for line in page.body["lines"]]
        assert any(line.startswith("T_P00 is ") for line in lines)
        return any(line.startswith("asked for ") and "hello" in line for line in lines)

    await eventually(printed)
    async with pac.http.get(
        pac.url + path, headers={"Authorization": f"Bearer {tenant.key}", "Accept": "text/event-stream"}
    ) as response:
        assert response.status == 200
        followed = (await response.content.readuntil(b"asked for")).decode()
    assert "T_P00 is " in followed
    assert "planted-" not in followed


async def broken(pac: Pac, tenant: Tenant, folder: Path, planted: Planted) -> None:
    """An agent that ends with all of them on its lips."""
    package = packed_agent(folder / "broken", version="2.0.0", main=BREAKS)
    accepted = await pac.deploy(tenant, package, "2.0.0", environment=json.dumps(planted.request))
    assert accepted.status == 202, accepted
    deployment = accepted.body["deployment"]["id"]
    ended = await pac.ended(deployment, tenant.key)
    assert (ended["status"], "cannot start with" in ended["error"]) == ("failed", True)
    assert "planted-" not in ended["error"]
    output = await pac.call("GET", f"/api/deployments/{deployment}/logs", tenant.key)
    assert output.status == 200, output
    assert "planted-" not in str(output.body)
    for path in ("events", "proof"):
        assert (await pac.call("GET", f"/api/deployments/{deployment}/{path}", tenant.key)).status == 200


async def misused(pac: Pac, tenant: Tenant, package: Path, planted: Planted) -> None:
    """Values in the wrong place, which an error might repeat."""
    value = planted.request["T_P01"]
    for method, more, body in (
        ("POST", "", {"secrets": {value: "x"}}),
        ("POST", "", {"secrets": {"A": {"b": value}}}),
        ("POST", "", {"secrets": value}),
        ("POST", "", value),
        ("PUT", "/A", {"value": [value]}),
        ("PUT", "/A", {"value": value + "\0"}),
        ("PUT", "/A", {"values": value, "value": value}),
        ("POST", "/restore", {"version": value}),
    ):
        answer = await save(pac, tenant, method, more, body)
        assert answer.status == 400, (method, more, answer.status)
    for text in (f'["{value}"]', f'{{"T_X": "{value}"', f'{{"T_X": {{"a": "{value}"}}}}', value):
        answer = await pac.deploy(tenant, package, "3.0.0", environment=text)
        assert answer.status == 400, answer.status


async def test_a_change_makes_a_new_release_where_the_app_says_so(
    pac: Pac, tenant: Tenant, runtime: LocalRuntime, folder: Path
) -> None:
    app = f"/api/agent-apps/{tenant.app_id}"
    said = await pac.call("PATCH", app, tenant.key, json={"deploy_policy": "on_secrets"})
    assert (said.status, said.body["agent_app"]["deploy_policy"]) == (200, "on_secrets")
    package = write_package(write_agent(folder / "level", main=SPEAKS), folder)
    first = (await pac.deploy(tenant, package, "1.0.0")).body["deployment"]["id"]
    assert (await pac.ended(first, tenant.key))["status"] == "completed"
    spent = (await pac.call("GET", "/api/credits", tenant.key)).body["spent"]
    assert (await save(pac, tenant, "PUT", "/T_LEVEL", {"value": "debug"})).status == 200

    async def following() -> str | None:
        listed = await pac.call("GET", f"/api/deployments?app={tenant.app_id}", tenant.key)
        newest: str = listed.body["deployments"][0]["id"]
        return newest if newest != first else None

    second = await eventually(following)
    assert second is not None
    assert (await pac.ended(second, tenant.key))["status"] == "completed"
    assert (await runtime.invoke(second, {}))["T_LEVEL"] == "debug"
    assert (await pac.call("GET", "/api/credits", tenant.key)).body["spent"] == spent, "it costs nothing"


async def test_the_secrets_of_a_deleted_app_are_gone(pac: Pac) -> None:
    tenant = await pac.tenant()
    await pac.credits_opened(tenant.key)
    name = f"GONE_{secrets.token_hex(8).upper()}"
    assert (await save(pac, tenant, "PUT", f"/{name}", {"value": "x"})).status == 200
    assert (await pac.call("DELETE", f"/api/agent-apps/{tenant.app_id}", tenant.key)).status == 200
    assert (await pac.call("GET", f"/api/agent-apps/{tenant.app_id}/secrets", tenant.key)).status == 404

    async def erased() -> bool:
        statement = "SELECT 1 FROM state.secrets WHERE name = %s"
        return not await World.of(pac.status).rows(ServiceName.RUNTIME_NOTIFIER, statement, name)

    await eventually(erased, seconds=30)


async def test_the_commands_of_pac(pac: Pac, tenant: Tenant) -> None:
    environment = {"PAC_GATEWAY_URL": pac.url, "PAC_API_KEY": tenant.key, "PAC_APP_ID": tenant.app_id}

    async def said(*arguments: str, typed: str = "", code: int = 0) -> str:
        done = await command("secrets", *arguments, environment=environment, typed=typed)
        assert done.code == code, done
        assert "typed-value" not in done.out + done.err
        return done.out

    await said("set", "API_TOKEN", typed="typed-value\n")
    await said("set", "LINES=-", typed="two\nlines\n")
    await said("set", "API_TOKEN=on-the-line", code=2)
    kept = await pac.call("GET", f"/api/agent-apps/{tenant.app_id}/secrets", tenant.key)
    assert kept.body["secrets"] == {"API_TOKEN": "typed-value", "LINES": "two\nlines"}
    listed = json.loads(await said("list", "-o", "json"))
    assert [(one["key"], one["version"]) for one in listed["keys"]] == [("API_TOKEN", 1), ("LINES", 2)]
    assert "API_TOKEN" in await said("list")
    await said("delete", "LINES")
    await said("delete", "LINES", code=1)
    await said("delete", code=2)
    await said("delete", "--all")
    assert json.loads(await said("list", "-o", "json")) == {"version": 4, "keys": []}
    told = json.loads(await said("versions", "LINES", "-o", "json"))
    assert ([one["version"] for one in told["versions"]], told["oldest"]) == ([3, 2], 0)
    assert "API_TOKEN" in await said("versions")
    restored = json.loads(await said("restore", "LINES", "2", "-o", "json"))
    assert restored == {"success": True, "secretCount": 1, "version": 5}
    await said("restore", "LINES", "9", code=1)
    kept = await pac.call("GET", f"/api/agent-apps/{tenant.app_id}/secrets", tenant.key)
    assert kept.body["secrets"] == {"LINES": "two\nlines"}


async def test_rekey_finds_the_keys_of_a_local_stack(pac: Pac, tenant: Tenant) -> None:
    assert (await save(pac, tenant, "PUT", "/A", {"value": "x"})).status == 200
    done = await command("secrets", "rekey", "--state-dir", str(pac.state_dir), "-o", "json")
    assert done.code == 0, done
    assert json.loads(done.out)["rewrapped"] == 0  # wrapped by its only key already
