"""Billing's part of a proof: the hold and its ledger, read at one position and signed; no word of a person in it."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from pac.billing.queries import movements_of
from pac.contracts.topics import ServiceName
from pac.servicekit.http import build_http
from pac.servicekit.identity import IdentitySigner, IdentityVerifier
from pac.servicekit.metrics import Metrics
from pac.servicekit.proof.chains import faults_of
from pac.servicekit.proof.serving import Proofs
from pac.servicekit.proof.signing import ProofSigner

from .conftest import SIGN_UP_CREDITS, Billing
from .test_api import Gateway, owner

PROOF_KEY, FORMER_KEY = ProofSigner(secrets.token_bytes(32)), ProofSigner(secrets.token_bytes(32))


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(billing: Billing) -> AsyncIterator[Gateway]:
    signer = IdentitySigner(secrets.token_bytes(32))
    proofs = Proofs(billing.log, PROOF_KEY, [FORMER_KEY.public_key], movements_of)
    app = build_http(
        proofs.routes(),
        verifier=IdentityVerifier.from_base64(ServiceName.BILLING, signer.public_key_base64),
        metrics=Metrics(),
        stopping=asyncio.Event(),
    )
    async with TestClient(TestServer(app)) as client:
        yield Gateway(client, signer)


async def part_of(gateway: Gateway, account_id: UUID, deployment_id: UUID) -> tuple[int, dict[str, Any]]:
    return await gateway.call(owner(account_id), "GET", f"/internal/proofs/{deployment_id}")


async def test_a_hold_and_its_ledger_signed(billing: Billing, gateway: Gateway) -> None:
    account_id, captured, released = uuid4(), uuid4(), uuid4()
    await billing.open_account(account_id)
    await billing.hear(billing.queued(account_id, captured, 4))
    await billing.hear(billing.queued(account_id, released, 3))
    await billing.hear(billing.finalizing(account_id, captured))
    await billing.hear(billing.aborted(account_id, released))
    status, part = await part_of(gateway, account_id, captured)
    assert (status, [*faults_of(part, str(captured), None)]) == (200, [])
    assert part["statement"]["version"] == 2
    ledger = part["statement"]["ledger"]
    assert [(entry["kind"], entry["amount"], entry["balance"]) for entry in ledger] == [
        ("reserve", -4, SIGN_UP_CREDITS - 4),
        ("capture", 0, SIGN_UP_CREDITS - 7),
    ]
    assert [entry["legs"] for entry in ledger] == [{"available": -4, "reserved": 4}, {"reserved": -4, "spent": 4}]
    assert all("reason" not in entry for entry in ledger)
    _, part = await part_of(gateway, account_id, released)
    assert [entry["kind"] for entry in part["statement"]["ledger"]] == ["reserve", "release"]


async def test_of_what_is_unknown_nothing_is_stated_and_of_others_nothing_is_told(
    billing: Billing, gateway: Gateway
) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    status, part = await part_of(gateway, account_id, deployment_id)
    assert (status, part["events"], part["statement"]["version"]) == (200, [], 0)
    assert [*faults_of(part, str(deployment_id), None)] == []
    await billing.hear(billing.queued(account_id, deployment_id))
    status, body = await part_of(gateway, uuid4(), deployment_id)
    assert (status, str(account_id) in json.dumps(body)) == (404, False)


async def test_the_key_in_use_and_those_before_it(gateway: Gateway) -> None:
    _, body = await gateway.call(owner(uuid4()), "GET", "/internal/proof-keys")
    keys = [(key["public_key"], key["retired"]) for key in body["keys"]]
    assert keys == [(PROOF_KEY.public_key.hex(), False), (FORMER_KEY.public_key.hex(), True)]
