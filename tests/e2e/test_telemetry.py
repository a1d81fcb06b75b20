"""One deployment as an operator sees it: one trace over all services, and log lines that are joined by their ids."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from pac.cli.local.environment import SERVICES
from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import Pac, Tenant

Span = dict[str, Any]
DEPLOY = "/api/agent-apps/{app_id}/packages/deploy"


def spans_of(pac: Pac, trace_id: str) -> list[Span]:
    lines = (pac.state_dir.parent / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    spans = (json.loads(line) for line in lines if trace_id in line)
    return [span for span in spans if span["context"]["trace_id"] == f"0x{trace_id}"]


def is_whole(spans: list[Span], outside: str | None) -> bool:
    """Every parent is there, but that of the root: nobody, or who asked."""
    known = {span["context"]["span_id"] for span in spans}
    return [span["parent_id"] for span in spans if span["parent_id"] not in known] == [outside]


def services_of(spans: list[Span]) -> set[str]:
    return {span["resource"]["attributes"]["service.name"] for span in spans}


async def deployed(pac: Pac, tenant: Tenant, folder: Path, traceparent: str | None = None) -> tuple[str, str]:
    """The ids of a deployment that is completed, and of the request that asked for it."""
    package = packed_agent(folder)
    headers = {"traceparent": traceparent} if traceparent else {}
    accepted = await pac.deploy(tenant, package, "1.0.0", headers=headers)
    assert accepted.status == 202, accepted
    deployment = accepted.body["deployment"]["id"]
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    return deployment, accepted.headers["X-Request-Id"]


async def test_a_deployment_is_one_tree_over_all_services_beneath_who_asked(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    trace_id, asking = uuid4().hex, uuid4().hex[:16]
    await deployed(pac, tenant, folder, f"00-{trace_id}-{asking}-01")

    def complete() -> bool:
        spans = spans_of(pac, trace_id)
        last = {"POST /deploy", "hear DeploymentCompleted"} <= {span["name"] for span in spans}
        return last and is_whole(spans, f"0x{asking}") and services_of(spans) == set(SERVICES)

    await eventually(complete)
    spans = spans_of(pac, trace_id)
    at: Span | None = next(span for span in spans if span["name"] == "POST /deploy")
    by_id, way = {span["context"]["span_id"]: span for span in spans}, []
    while at is not None:
        way.append(at["name"])
        at = by_id.get(at["parent_id"])
    assert way[-3:] == [f"POST {DEPLOY}", "ask packages", f"POST {DEPLOY}"], way
    assert {"hear PackageSubmitted", "hear StepStarted"} <= set(way), way


async def test_who_brings_no_trace_gets_one_of_their_own(pac: Pac, tenant: Tenant, folder: Path) -> None:
    _, request_id = await deployed(pac, tenant, folder)

    def roots() -> list[Span]:
        lines = (pac.state_dir.parent / "traces.jsonl").read_text(encoding="utf-8").splitlines()
        return [span for span in (json.loads(line) for line in lines if request_id in line) if not span["parent_id"]]

    await eventually(lambda: len(roots()) == 1)
    trace_id = roots()[0]["context"]["trace_id"].removeprefix("0x")

    def whole() -> bool:
        spans = spans_of(pac, trace_id)
        return is_whole(spans, None) and services_of(spans) == set(SERVICES)

    await eventually(whole)
