"""GET /api/deployments/:id/proof: the services' signed parts in one answer, and what could not be asked is named."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pac.contracts.topics import ServiceName
from pac.servicekit.proof.form import CATEGORIES
from pac.servicekit.proof.verdict import verdict_on
from pac.testkit.proofs import ACCOUNT, DEPLOYMENT, SIGNERS, Book, recorded

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage, Upstream

PATH = f"/api/deployments/{DEPLOYMENT}/proof"
NO_KEY: Mapping[str, Any] = {"keys": []}


def answers(upstream: "Upstream", book: Book, account_id: object = None, *, status: int = 200) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/internal/proof-keys":
            key = {"service": upstream.name.value, "public_key": SIGNERS[upstream.name].public_key.hex()}
            return web.json_response({"keys": [key]})
        assert request.path == f"/internal/proofs/{DEPLOYMENT}"
        assert upstream.caller().account_id == account_id
        return web.json_response(book.part(upstream.name), status=status)

    upstream.handle = handle


async def test_a_proof_of_what_can_be_reached(stage: "Stage") -> None:
    tenant = await stage.gateway.account("proved")
    book = recorded("succeeded")
    for upstream in (stage.packages, stage.deployments, stage.billing):
        answers(upstream, book, tenant.account_id)
    await stage.notifier.stop()
    answer = await stage.gateway.call("GET", PATH, tenant.key)
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.json["missing"] == ["runtime-notifier"]
    verdict = verdict_on(answer.body)
    assert (verdict.sound, verdict.outcome, verdict.credits) == (True, "succeeded", "captured")


async def test_what_is_away_is_left_out_but_not_billing(stage: "Stage") -> None:
    tenant = await stage.gateway.account("away")
    book = recorded("failed")
    await stage.notifier.stop()
    answers(stage.packages, book, tenant.account_id, status=500)
    answers(stage.deployments, book, tenant.account_id)
    answers(stage.billing, book, tenant.account_id)
    answer = await stage.gateway.call("GET", PATH, tenant.key)
    assert answer.json["missing"] == ["packages", "runtime-notifier"]
    assert verdict_on(answer.body).sound
    answers(stage.billing, book, tenant.account_id, status=503)
    away = await stage.gateway.call("GET", PATH, tenant.key)
    assert (away.status, away.json["code"], away.headers["Retry-After"]) == (503, "unavailable", "1")
    answers(stage.billing, Book(), tenant.account_id)
    undecided = await stage.gateway.call("GET", PATH, tenant.key)
    assert (undecided.status, undecided.json["error"]) == (503, "Credits of this deployment are not decided yet")


async def test_another_accounts_deployment_is_unknown(stage: "Stage") -> None:
    await stage.notifier.stop()
    tenant = await stage.gateway.account("curious")
    for upstream in (stage.packages, stage.deployments, stage.billing):
        answers(upstream, Book(), tenant.account_id)
    answers(stage.deployments, Book(), tenant.account_id, status=404)
    answer = await stage.gateway.call("GET", PATH, tenant.key)
    assert (answer.status, answer.json["error"]) == (404, "Deployment not found")
    assert str(ACCOUNT) not in answer.body.decode()
    assert (await stage.gateway.call("GET", PATH)).status == 401


async def test_the_keys_are_public(stage: "Stage") -> None:
    await stage.notifier.stop()
    for upstream in (stage.packages, stage.deployments, stage.billing):
        answers(upstream, Book())
    answer = await stage.gateway.call("GET", "/.well-known/pac-proof-keys")
    assert answer.status == 200
    services = [key["service"] for key in json.loads(answer.body)["keys"]]
    assert [*services, *answer.json["missing"]] == [service.value for service in CATEGORIES]
    assert ServiceName.RUNTIME_NOTIFIER.value in answer.json["missing"]
