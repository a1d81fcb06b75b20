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
    "allow_header_conformance",
    "ignored_auth",
)
SETTINGS = """
seed = {seed}
continue-on-failure = true
request-timeout = 90

[auth.openapi]
api_key = {{ bearer = "{key}" }}
admin_key = {{ bearer = "{admin_key}" }}

[dictionaries]
{dictionaries}

[parameters]
{parameters}

[[operations]]
include-path-regex = "/suspension$"
parameters = {{ "path.account_id" = {{ dictionary = "other_id", probability = 0.7 }} }}
"""


@pytest.mark.timeout(120 + CASES)
async def test_no_request_finds_what_is_not_described(pac: Pac, tenant: Tenant, folder: Path) -> None:
    known = {**await _things(pac, tenant, folder), "account_id": [tenant.account_id]}
    dictionaries = {**known, "other_id": [(await pac.tenant()).account_id]}  # for suspensions: the first one writes
    places = {**{f"path.{name}": name for name in known}, "header.PAC-Account": "account_id"}
    settings = folder / "schemathesis.toml"
    settings.write_text(
        SETTINGS.format(
            seed=SEED,
            key=tenant.key,
            admin_key=pac.status["admin_key"],
            dictionaries="\n".join(f"{name} = {{ values = {values} }}" for name, values in dictionaries.items()),
            parameters="\n".join(
                f'"{place}" = {{ dictionary = "{name}", probability = 0.7 }}' for place, name in places.items()
            ),
        )
    )
    how_long = ["--max-examples", str(-(-CASES // len(ROUTES)))] if CASES else ["--max-time", str(SECONDS)]
    tool = await asyncio.create_subprocess_exec(
        TOOL,
        "--config-file",
        settings,
        "run",
        f"{pac.url}/openapi.json",
        "--phases=fuzzing",
        f"--checks={','.join(CHECKS)}",
        *how_long,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    said, _ = await tool.communicate()
    print(said.decode())  # noqa: T201 - what was asked, and the seed
    assert tool.returncode == 0, "see above"


async def _things(pac: Pac, tenant: Tenant, folder: Path) -> dict[str, list[str]]:
    """Some of what paths name, so that requests get further than the 404."""
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    await pac.ended(accepted.body["deployment"]["id"], tenant.key)
    apps = [
        (await pac.call("POST", "/api/agent-apps", tenant.key, json={"name": f"app {uuid4()}"})).body["agent_app"]["id"]
        for _ in range(10)
    ]
    return {
        "app_id": [tenant.app_id, *apps],
        "deployment_id": [accepted.body["deployment"]["id"]],
        "package_id": [accepted.body["package"]["id"]],
    }
