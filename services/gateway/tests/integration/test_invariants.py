"""GET /api/ops/invariants: the laws of all services in one answer, for the operator alone."""

from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage, Upstream

PATH = "/api/ops/invariants"
ADMIN_KEY = "operator-of-the-tests"
OWN = {"streams_are_whole", "watermark_is_young", "relay_keeps_up", "nothing_is_parked_for_long"}


def law(name: str, *, holds: bool = True) -> dict[str, Any]:
    return {"name": name, "holds": holds, "detail": "as it is", "checked": 3}


def says(upstream: "Upstream", *laws: dict[str, Any], unchecked: tuple[str, ...] = (), status: int = 200) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.path == "/internal/invariants"
        return web.json_response({"laws": list(laws), "unchecked": list(unchecked)}, status=status)

    upstream.handle = handle


async def test_the_laws_of_all_services_and_who_was_not_reached(own_stage: "Stage") -> None:
    stage = own_stage
    says(stage.packages, law("one"))
    says(stage.deployments, law("two"), unchecked=("slow",))
    await stage.notifier.stop()
    says(stage.billing, law("three"))
    answer = await stage.gateway.call("GET", PATH, ADMIN_KEY)
    assert answer.status == 200
    assert answer.json["holds"] is True
    assert answer.json["unreachable"] == ["deployments.slow", "runtime-notifier"]
    laws = {(found["service"], found["name"]): found for found in answer.json["laws"]}
    assert laws.keys() == {
        ("packages", "one"),
        ("deployments", "two"),
        ("billing", "three"),
        *(("gateway", name) for name in OWN),
    }
    assert laws["billing", "three"] == {"service": "billing", **law("three")}
    for upstream in (stage.packages, stage.deployments, stage.billing):
        assert upstream.caller().operator
        assert upstream.caller().account_id is None


async def test_one_broken_law_is_enough(own_stage: "Stage") -> None:
    stage = own_stage
    says(stage.packages, law("one"))
    says(stage.deployments, status=500)
    await stage.notifier.stop()
    says(stage.billing, law("three"), law("ledger_sums_to_zero", holds=False))
    answer = await stage.gateway.call("GET", PATH, ADMIN_KEY)
    assert (answer.status, answer.json["holds"]) == (200, False)
    assert [found["name"] for found in answer.json["laws"] if not found["holds"]] == ["ledger_sums_to_zero"]
    assert answer.json["unreachable"] == ["deployments", "runtime-notifier"]


async def test_nobody_but_the_operator_is_told(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    before = len(stage.billing.seen)
    assert (await stage.gateway.call("GET", PATH)).status == 401
    assert (await stage.gateway.call("GET", PATH, mine.key)).status == 403
    assert len(stage.billing.seen) == before
