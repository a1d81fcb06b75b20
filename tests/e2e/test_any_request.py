"""Requests that nobody thought of, made from the API's description: no 5xx, no status and no shape it does not tell of.

`make test-api` asks ten thousand; here it is as many as fit in some seconds. A seed that fails is printed by the tool.
"""

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from pac.gateway.routes import ROUTES
from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import Pac, Tenant

SECONDS = 15
CASES = int(os.environ.get("PAC_API_CASES", "0"))
SEED = os.environ.get("PAC_API_SEED", "1")
TOOL = Path(sys.executable).parent / "schemathesis"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "ignored_auth",
)
SETTINGS = """
seed = {seed}
continue-on-failure = true
request-timeout = 90

[auth.openapi]
api_key = {{ bearer = "{key}" }}
admin_key = {{ bearer = "{admin_key}" }}

[checks.negative_data_rejection]  # what is too much is refused as that, before it is looked at
expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422, 429]

[dictionaries]
{dictionaries}

[parameters]
{parameters}

"header.PAC-Account" = {{ dictionary = "account_id", probability = 0.9 }}

# What deletes and suspends gets others, so that the rest finds its own as they are.
[[operations]]
include-name = "DELETE /api/agent-apps/{{app_id}}"
parameters = {{ "path.app_id" = {{ dictionary = "other_app_id", probability = 0.7 }} }}

[[operations]]  # each one that finds it is a deployment
include-name = "POST /api/agent-apps/{{app_id}}/packages/{{package_id}}/deploy"
parameters = {{ "path.package_id" = {{ dictionary = "package_id", probability = 0.2 }} }}

[[operations]]
include-name = "POST /api/admin/accounts/{{account_id}}/suspension"
parameters = {{ "path.account_id" = {{ dictionary = "other_account_id", probability = 1.0 }} }}
"""


@pytest.mark.timeout(120 + CASES)
async def test_no_request_finds_what_is_not_described(pac: Pac, tenant: Tenant, folder: Path) -> None:
    known = await _things(pac, tenant, folder)
    settings = folder / "schemathesis.toml"
    settings.write_text(
        SETTINGS.format(
            seed=SEED,
            key=tenant.key,
            admin_key=pac.status["admin_key"],
            dictionaries="\n".join(f"{name} = {{ values = {values} }}" for name, values in known.items()),
            parameters="\n".join(
                f'"path.{name}" = {{ dictionary = "{name}", probability = 0.7 }}'
                for name in known
                if not name.startswith("other")
            ),
        )
    )
    how_long = ["--phases=fuzzing", "--max-time", str(SECONDS)]
    if CASES:
        examples = 2 * CASES // len(ROUTES)  # half of the routes run out of different requests before
        how_long = ["--phases=coverage,fuzzing", "--max-examples", str(examples)]
    tool = await asyncio.create_subprocess_exec(
        TOOL,
        "--config-file",
        settings,
        "run",
        f"{pac.url}/openapi.json",
        f"--checks={','.join(CHECKS)}",
        *how_long,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    said, _ = await tool.communicate()
    print(said.decode())  # noqa: T201 - what was asked, and the seed
    assert tool.returncode == 0, "see above"
    await eventually(lambda: _has_ended(pac, tenant), seconds=60 + CASES)


async def _has_ended(pac: Pac, tenant: Tenant) -> bool:
    """Whether every deployment has that the requests began."""
    for status in ("queued", "processing"):
        if (await pac.call("GET", f"/api/deployments?status={status}", tenant.key)).body["deployments"]:
            return False
    return True


async def _things(pac: Pac, tenant: Tenant, folder: Path) -> dict[str, list[str]]:
    """Some of what paths name, so that requests get further than the 404."""
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    await pac.ended(accepted.body["deployment"]["id"], tenant.key)
    apps = [
        (await pac.call("POST", "/api/agent-apps", tenant.key, json={"name": f"app {uuid4()}"})).body["agent_app"]["id"]
        for _ in range(10)
    ]
    other = await pac.admin("POST", "/api/admin/accounts", {"name": "other"})
    webhooks = f"/api/agent-apps/{tenant.app_id}/webhooks"
    wish = {"url": "https://example.com/hook", "events": ["webhook.disabled"]}  # of which there will be none
    hooks = [(await pac.call("POST", webhooks, tenant.key, json=wish)).body["webhook"]["id"] for _ in range(10)]
    return {
        "account_id": [tenant.account_id],
        "other_account_id": [other["account"]["id"]],
        "app_id": [tenant.app_id],
        "other_app_id": apps,
        "deployment_id": [accepted.body["deployment"]["id"]],
        "package_id": [accepted.body["package"]["id"]],
        "hook_id": hooks,
    }
