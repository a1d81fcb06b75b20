"""The unmodified `pixell` command of pixell-kit 0.4.12 against PAC, through port 4000, which is fixed in it."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from pac.testkit.agents import CRASHES
from pac.testkit.pac_up import Pac, Tenant
from pac.testkit.pixell import Pixell, Said
from pac.testkit.port import port_passed_on
from pac.testkit.runtime import LocalRuntime

pytestmark = pytest.mark.real_client


@pytest.fixture(autouse=True)
async def door(pac: Pac) -> AsyncIterator[None]:
    port = URL(pac.url).port
    assert port is not None
    async with port_passed_on(4000, port):
        yield


async def built(pixell: Pixell, folder: Path, *, main: str | None = None, version: str | None = None) -> Path:
    """A package that the real client initialised and built."""
    folder.mkdir(parents=True, exist_ok=True)
    assert (await pixell("init", "my-agent", "--surface", "rest", cwd=folder)).code == 0
    agent = folder / "my-agent"
    (agent / ".env").write_text("T_FROM=dotenv\n")
    (agent / "requirements.txt").write_text("")
    manifest = (agent / "agent.yaml").read_text()
    head, _, tail = manifest.partition("dependencies:")
    manifest = f"{head}dependencies: []\nmetadata:{tail.partition('metadata:')[2]}"
    (agent / "agent.yaml").write_text(manifest.replace("0.1.0", version) if version else manifest)
    if main is not None:
        (agent / "src/main.py").write_text(main)
    said = await pixell("build", cwd=agent)
    assert said.code == 0, said
    (package,) = agent.glob("*.apkg")
    return package


def deploy(package: Path, tenant: Tenant, *more: str) -> list[str]:
    return ["deploy", "-f", str(package), "--env", "local", "-a", tenant.app_id, "-k", tenant.key, *more]


def deployment_in(said: Said) -> str:
    found = re.search(r"Deployment ID: ([0-9a-f-]{36})", said.text)
    assert found is not None, said
    return found[1]


async def test_build_deploy_wait_status_and_the_agent_answers(
    pixell: Pixell, pac: Pac, tenant: Tenant, runtime: LocalRuntime, folder: Path
) -> None:
    package = await built(pixell, folder)
    said = await pixell(*deploy(package, tenant, "--wait"))
    assert said.code == 0, said
    assert "Deployment initiated successfully" in said.text
    assert "Deployment completed successfully" in said.text
    listed = await pac.call("GET", "/api/deployments/queue/stats")
    assert listed.body["stats"]["completed"] >= 1
    deployment = deployment_in(said)
    status = await pixell("status", deployment, "--env", "local", "-k", tenant.key, "--json")
    assert status.code == 0, status
    shown = json.loads(status.text[status.text.index("{") : status.text.rindex("}") + 1])
    steps = shown.get("deployment", shown)["progress"]["steps"]
    assert [(step["name"], step["status"]) for step in steps] == [
        ("validate_package", "completed"),
        ("upload_to_s3", "completed"),
        ("generate_metadata", "completed"),
        ("notify_runtime", "completed"),
        ("finalize", "completed"),
    ]
    answer = await runtime.invoke(deployment, {"text": "hello"})
    assert "Hello from handler" in str(answer)


async def test_a_package_of_the_template_with_its_real_requirements_deploys(
    pixell: Pixell, tenant: Tenant, folder: Path
) -> None:
    assert (await pixell("init", "my-agent", cwd=folder)).code == 0
    (folder / "my-agent/.env").touch()
    assert (await pixell("build", cwd=folder / "my-agent")).code == 0
    (package,) = (folder / "my-agent").glob("*.apkg")
    said = await pixell(*deploy(package, tenant, "--wait"))
    assert "Deployment completed successfully" in said.text, said


async def test_version_exists_is_shown_and_force_goes_through(pixell: Pixell, tenant: Tenant, folder: Path) -> None:
    package = await built(pixell, folder)
    assert (await pixell(*deploy(package, tenant, "--wait"))).code == 0
    again = await pixell(*deploy(package, tenant))
    assert again.code == 1
    assert "Version already exists" in again.text
    forced = await pixell(*deploy(package, tenant, "--wait", "--force"))
    assert forced.code == 0, forced


async def test_a_bad_package_shows_its_faults(pixell: Pixell, tenant: Tenant, folder: Path) -> None:
    package = folder / "bad.apkg"
    package.write_bytes(b"no zip at all")
    said = await pixell(*deploy(package, tenant, "-v", "1.0.0"))
    assert said.code == 1
    assert "Invalid APKG format" in said.text


async def test_a_wrong_key_is_told(pixell: Pixell, tenant: Tenant, folder: Path) -> None:
    package = await built(pixell, folder)
    said = await pixell("deploy", "-f", str(package), "--env", "local", "-a", tenant.app_id, "-k", "pac_wrong")
    assert said.code == 1
    assert "Invalid API key or session" in said.text


async def test_too_few_credits_are_told_with_both_numbers(pixell: Pixell, pac: Pac, folder: Path) -> None:
    poor = await pac.tenant(credits=0)
    said = await pixell(*deploy(await built(pixell, folder), poor))
    assert said.code == 1
    assert "Insufficient credits. Required: 1, Available: 0" in " ".join(said.text.split())


async def test_an_unknown_app_is_told_by_the_status_line(pixell: Pixell, tenant: Tenant, folder: Path) -> None:
    package = await built(pixell, folder)
    unknown = Tenant(tenant.account_id, "00000000-0000-4000-8000-000000000000", tenant.key)
    said = await pixell(*deploy(package, unknown))
    assert said.code == 1
    assert "Agent app not found" in " ".join(said.text.split())


async def test_a_failed_deployment_shows_one_useful_line(pixell: Pixell, tenant: Tenant, folder: Path) -> None:
    package = await built(pixell, folder, main=CRASHES)
    said = await pixell(*deploy(package, tenant, "--wait"))
    assert said.code == 1
    assert "this agent cannot start" in " ".join(said.text.split())


async def test_runtime_env_of_the_client_reaches_the_agent(
    pixell: Pixell, tenant: Tenant, runtime: LocalRuntime, folder: Path
) -> None:
    main = (
        "import os\n\n\ndef handler(context):\n    return {k: v for k, v in os.environ.items() if k.startswith('T_')}\n"
    )
    package = await built(pixell, folder, main=main)
    said = await pixell(*deploy(package, tenant, "--wait", "--runtime-env", "T_FROM=request"))
    assert said.code == 0, said
    deployment = deployment_in(said)
    assert (await runtime.invoke(deployment, {}))["T_FROM"] == "request"


# ---- pixell secrets --------------------------------------------------------------------------------------------------


def secrets(tenant: Tenant, command: str, *more: str, key: str | None = None) -> list[str]:
    return ["secrets", command, *more, "--env", "local", "-a", tenant.app_id, "-k", key or tenant.key]


async def test_secrets_are_set_listed_updated_and_deleted(pixell: Pixell, tenant: Tenant, folder: Path) -> None:
    assert "No secrets found." in (await pixell(*secrets(tenant, "list"))).text
    said = await pixell(*secrets(tenant, "set", "-s", "API_TOKEN=first-value", "-s", "DEBUG=false"), typed="y\n")
    assert (said.code, "Secrets saved successfully!" in said.text, "Total secrets: 2" in said.text) == (0, True, True)
    listed = await pixell(*secrets(tenant, "list", "--format", "json"))
    assert json.loads(listed.text) == {"secrets": {"API_TOKEN": "first-value", "DEBUG": "false"}}
    table = await pixell(*secrets(tenant, "list"))
    assert "API_TOKEN" in table.text
    assert "first-value" not in table.text  # the client masks
    got = await pixell(*secrets(tenant, "get", "API_TOKEN"))
    assert (got.code, got.text.strip()) == (0, "first-value")

    updated = await pixell(*secrets(tenant, "update", "API_TOKEN", "other-value"))
    assert (updated.code, "Secret 'API_TOKEN' updated successfully!" in updated.text) == (0, True)
    deleted = await pixell(*secrets(tenant, "delete", "DEBUG", "--force"))
    assert (deleted.code, "Secret 'DEBUG' deleted successfully!" in deleted.text) == (0, True)
    listed = await pixell(*secrets(tenant, "list", "--format", "json"))
    assert json.loads(listed.text) == {"secrets": {"API_TOKEN": "other-value"}}

    (folder / ".env").write_text("FROM_FILE=x\n")
    assert (await pixell(*secrets(tenant, "set", "--file", str(folder / ".env")), typed="y\n")).code == 0
    listed = await pixell(*secrets(tenant, "list", "--format", "json"))
    assert json.loads(listed.text) == {"secrets": {"FROM_FILE": "x"}}
    cleared = await pixell(*secrets(tenant, "delete-all", "--confirm"), typed="y\n")
    assert (cleared.code, "All secrets deleted successfully!" in cleared.text) == (0, True)
    assert "No secrets found." in (await pixell(*secrets(tenant, "list"))).text


async def test_refusals_of_secrets_have_the_exit_codes_that_the_client_documents(
    pixell: Pixell, pac: Pac, tenant: Tenant
) -> None:
    assert (await pixell(*secrets(tenant, "list", key="pac_wrong"))).code == 2
    stranger = await pac.tenant()
    said = await pixell(*secrets(Tenant(tenant.account_id, stranger.app_id, tenant.key), "list"))
    assert (said.code, "Agent app not found" in said.text) == (3, True)
    assert (await pixell(*secrets(tenant, "get", "NOT_THERE"))).code == 3
    said = await pixell(*secrets(tenant, "delete", "NOT_THERE", "--force"))
    assert (said.code, "NOT_THERE" in said.text) == (3, True)
    said = await pixell(*secrets(tenant, "update", "BIG", "x" * 65_537))
    assert (said.code, "A value has at most 65536 bytes" in " ".join(said.text.split())) == (1, True)
    reader = await pac.admin(
        "POST", f"/api/admin/accounts/{tenant.account_id}/api-keys", {"name": "reader", "scopes": ["read", "deploy"]}
    )
    said = await pixell(*secrets(tenant, "list", key=reader["api_key"]["key"]))
    assert (said.code, "This key lacks the scope secrets" in " ".join(said.text.split())) == (1, True)
