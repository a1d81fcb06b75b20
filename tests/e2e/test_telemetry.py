"""One deployment as an operator sees it: one trace over all services, and log lines that are joined by their ids."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

from pac.cli.local.environment import SERVICES
from pac.testkit.agents import packed_agent
from pac.testkit.dashboards import DASHBOARDS
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import Pac, Tenant

ROOT = Path(__file__).resolve().parents[2]
Span = dict[str, Any]
DEPLOY = "/api/agent-apps/{app_id}/packages/deploy"
# All attributes that a span may have.
TOLD = {"http.route", "http.response.status_code", "request.id", "event.id", "stream", "wire.id", "error.type"}


def spans_with(pac: Pac, text: str) -> list[Span]:
    assert pac.traces_file is not None
    lines = pac.traces_file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if text in line]


def spans_of(pac: Pac, trace_id: str) -> list[Span]:
    return [span for span in spans_with(pac, trace_id) if span["context"]["trace_id"] == f"0x{trace_id}"]


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
        return [span for span in spans_with(pac, request_id) if not span["parent_id"]]

    await eventually(lambda: len(roots()) == 1)
    trace_id = roots()[0]["context"]["trace_id"].removeprefix("0x")

    def whole() -> bool:
        spans = spans_of(pac, trace_id)
        return is_whole(spans, None) and services_of(spans) == set(SERVICES)

    await eventually(whole)


def lines_of(pac: Pac, name: str, value: str) -> list[dict[str, Any]]:
    """What the services have logged with this field."""
    logs = [pac.state_dir / "logs" / f"{service}.log" for service in SERVICES]
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines() if value in line]
    return [one for one in (json.loads(line) for line in lines) if one.get(name) == value]


async def test_the_lines_of_a_deployment_are_found_by_its_id_and_by_its_trace(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    trace_id = uuid4().hex
    deployment, _ = await deployed(pac, tenant, folder, f"00-{trace_id}-{uuid4().hex[:16]}-01")

    def found() -> bool:
        """The gateway learns the id when somebody asks for the deployment, which has no trace of ours."""
        by_id, by_trace = lines_of(pac, "deployment_id", deployment), lines_of(pac, "trace_id", trace_id)
        events = {line["event"] for line in by_id if line in by_trace}
        return (
            {line["service"] for line in by_id} == {line["service"] for line in by_trace} == set(SERVICES)
            and {"package_submitted", "credits_decided", "deployment_started", "deployment_moved"} <= events
            and {"step_answered", "package_given", "wire_settled"} <= events  # of workers
        )

    await eventually(found)


async def test_spans_hold_ids_routes_and_kinds_of_errors_and_nothing_else(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    await deployed(pac, tenant, folder)
    spans = spans_with(pac, "")
    assert {key for span in spans for key in span["attributes"]} <= TOLD
    assert {key for span in spans for key in span["status"]} == {"status_code"}
    assert [span for span in spans if span["events"] or span["links"]] == []
    addressed = [span for span in spans if "://" in str(span["attributes"]) or "X-Amz-" in str(span["attributes"])]
    assert addressed == []


async def scraped(pac: Pac) -> str:
    said = [await pac.call("GET", f"{url}/metrics") for url in pac.status["admin_urls"].values()]
    return "\n".join(answer.body for answer in said)


def families_in(text: str) -> list[tuple[str, str]]:
    """Name and type of each metric that a scrape shows."""
    return re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)


async def test_the_reference_lists_what_the_services_show(pac: Pac) -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE)
    ours = {one for one in families_in(await scraped(pac)) if not one[0].startswith(("process_", "python_"))}
    assert len(ours) > 25
    # The client of Prometheus says of each counter and histogram when it began.
    assert {one for one in ours if not one[0].endswith("_created")} == set(told)
    assert (await pac.call("GET", "/metrics")).status == 404


async def test_the_public_figures_are_those_of_the_dashboard(pac: Pac, tenant: Tenant, folder: Path) -> None:
    await deployed(pac, tenant, folder)

    async def the_same() -> bool:
        public = (await pac.call("GET", "/api/deployments/queue/stats")).body["stats"]
        text = await scraped(pac)
        shown = {}
        for panel in DASHBOARDS["Pipeline"]:
            if (status := panel.title.lower()) in public:
                name = re.fullmatch(r"max\((\w+)\)", panel.expression)
                assert name is not None, panel
                shown[status] = max(float(n) for n in re.findall(rf"^{name[1]} (\S+)$", text, re.MULTILINE))
        return len(shown) == 4 and shown["completed"] > 0 and shown.items() <= public.items()

    await eventually(the_same)
