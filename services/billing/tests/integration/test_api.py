"""Billing's HTTP API over a real socket, called as the gateway calls it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from pac.billing.accounts import Accounts
from pac.billing.api import Api
from pac.billing.app import routes_of
from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER, Caller, Scope
from pac.contracts.topics import ServiceName
from pac.servicekit.http import build_http
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.identity import IdentitySigner, IdentityVerifier
from pac.servicekit.metrics import Metrics

from .conftest import SIGN_UP_CREDITS, Billing


@dataclass
class Gateway:
    """Calls with a signed identity."""

    client: TestClient[Any, Any]
    signer: IdentitySigner

    async def call(
        self, caller: Caller, method: str, path: str, *, key: str | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        request_id = str(uuid4())
        identity = self.signer.sign(
            caller, audience=ServiceName.BILLING, method=method, path=path, request_id=request_id
        )
        headers = {IDENTITY_HEADER: identity, REQUEST_ID_HEADER: request_id}
        if key is not None:
            headers["Idempotency-Key"] = key
        async with self.client.request(method, path, headers=headers, **options) as response:
            return response.status, await response.json()


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(billing: Billing) -> AsyncIterator[Gateway]:
    signer = IdentitySigner(secrets.token_bytes(32))
    api = Api(billing.log, Accounts(), billing.queries)
    app = build_http(
        routes_of(api),
        verifier=IdentityVerifier.from_base64(ServiceName.BILLING, signer.public_key_base64),
        metrics=Metrics(),
        stopping=asyncio.Event(),
        idempotency=Idempotency.of(billing.log, b"secret of the tests"),
    )
    async with TestClient(TestServer(app)) as client:
        yield Gateway(client, signer)


OPERATOR = Caller(actor="operator", operator=True)


def owner(account_id: UUID) -> Caller:
    return Caller(actor="key-1", account_id=account_id, scopes=frozenset({Scope.READ}))


def grants(account_id: UUID) -> str:
    return f"/api/admin/accounts/{account_id}/credits"


async def test_credits_and_ledger_of_the_callers_account(billing: Billing, gateway: Gateway) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    await billing.hear(billing.queued(account_id, deployment_id, 4))
    assert await gateway.call(owner(account_id), "GET", "/api/credits") == (
        200,
        {"account_id": str(account_id), "available": SIGN_UP_CREDITS - 4, "reserved": 4, "spent": 0},
    )
    status, page = await gateway.call(owner(account_id), "GET", "/api/credits/ledger?limit=1")
    [entry] = page["entries"]
    assert (status, entry["kind"], entry["amount"], entry["balance"]) == (200, "reserve", -4, 6)
    assert entry["deployment_id"] == str(deployment_id)
    assert "reason" not in entry
    _, last = await gateway.call(owner(account_id), "GET", f"/api/credits/ledger?cursor={page['next_cursor']}")
    assert [(entry["kind"], entry["amount"]) for entry in last["entries"]] == [("grant", SIGN_UP_CREDITS)]
    assert last["next_cursor"] is None


async def test_an_account_that_is_not_heard_of_yet_has_nothing(gateway: Gateway) -> None:
    status, body = await gateway.call(owner(uuid4()), "GET", "/api/credits")
    assert (status, body["available"]) == (200, 0)


async def test_an_operator_grants_and_takes_back(billing: Billing, gateway: Gateway) -> None:
    account_id = uuid4()
    await billing.open_account(account_id)
    status, body = await gateway.call(OPERATOR, "POST", grants(account_id), json={"amount": 5, "reason": "Thanks"})
    entry = body["entry"]
    assert (status, entry["kind"], entry["amount"], entry["balance"]) == (201, "grant", 5, 15)
    assert entry["reason"] == "Thanks"
    status, body = await gateway.call(OPERATOR, "POST", grants(account_id), json={"amount": -15, "reason": "A mistake"})
    assert (status, body["entry"]["kind"], body["entry"]["balance"]) == (201, "correction", 0)
    status, body = await gateway.call(OPERATOR, "POST", grants(account_id), json={"amount": -1, "reason": "More"})
    assert (status, body["code"], body["available"]) == (409, "conflict", 0)


async def test_no_text_of_a_person_is_in_an_event(billing: Billing, gateway: Gateway) -> None:
    account_id = uuid4()
    await gateway.call(OPERATOR, "POST", grants(account_id), json={"amount": 5, "reason": "for Ada Lovelace"})
    [told] = await billing.log.history(f"account-{account_id}")
    assert "Ada" not in told.event.model_dump_json()
    assert told.actor == "operator"


async def test_a_grant_before_its_account_is_heard_of_is_kept(billing: Billing, gateway: Gateway) -> None:
    account_id = uuid4()
    await gateway.call(OPERATOR, "POST", grants(account_id), json={"amount": 5, "reason": "Early"})
    await billing.open_account(account_id)
    _, body = await gateway.call(owner(account_id), "GET", "/api/credits")
    assert body["available"] == SIGN_UP_CREDITS + 5


async def test_the_same_key_is_the_same_entry(billing: Billing, gateway: Gateway) -> None:
    account_id = uuid4()
    wish = {"amount": 5, "reason": "Once"}
    answers = await asyncio.gather(
        *(gateway.call(OPERATOR, "POST", grants(account_id), key="k-1", json=wish) for _ in range(5))
    )
    assert answers == [answers[0]] * 5
    assert answers[0][0] == 201
    assert (await billing.queries.balance(account_id)).available == 5
    status, body = await gateway.call(
        OPERATOR, "POST", grants(account_id), key="k-1", json={"amount": 6, "reason": "Once"}
    )
    assert (status, body["code"]) == (422, "idempotency_mismatch")
    assert (await gateway.call(OPERATOR, "POST", grants(account_id), key="k-2", json=wish))[0] == 201


async def test_only_an_operator_grants(gateway: Gateway) -> None:
    account_id = uuid4()
    status, body = await gateway.call(
        owner(account_id), "POST", grants(account_id), json={"amount": 5, "reason": "Mine"}
    )
    assert (status, body["code"]) == (403, "forbidden")


async def test_a_grant_is_checked_field_by_field(gateway: Gateway) -> None:
    wrong: list[dict[str, Any]] = [
        {"amount": "5", "reason": "x"},
        {"amount": 1.5, "reason": "x"},
        {"amount": 10**13, "reason": "x"},
        {"amount": 0, "reason": "x"},
        {"amount": 5, "reason": ""},
        {"amount": 5, "reason": "x", "more": 1},
        {"amount": True, "reason": "x"},
        {"reason": "x"},
    ]
    for wish in wrong:
        status, body = await gateway.call(OPERATOR, "POST", grants(uuid4()), json=wish)
        assert (status, body["code"]) == (400, "invalid_request"), wish


async def test_an_operator_without_account_has_no_credits_to_read(gateway: Gateway) -> None:
    assert (await gateway.call(OPERATOR, "GET", "/api/credits"))[0] == 404


async def test_short_is_who_has_too_little_and_nothing_that_may_come_back(billing: Billing, gateway: Gateway) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    too_much = f"/internal/quote?size_bytes={(SIGN_UP_CREDITS + 1) * 1_048_576}"

    async def quoted() -> tuple[bool, bool]:
        _, quote = await gateway.call(owner(account_id), "GET", too_much)
        return quote["sufficient"], quote["short"]

    assert await quoted() == (False, False), "an account not heard of yet"
    await billing.open_account(account_id)
    assert await quoted() == (False, True)
    await billing.hear(billing.queued(account_id, deployment_id, 4))
    assert await quoted() == (False, False), "what is reserved may come back"
    await billing.hear(billing.finalizing(account_id, deployment_id))
    assert await quoted() == (False, True)


async def test_a_quote_is_the_price_of_an_upload_and_what_would_be_left(gateway: Gateway) -> None:
    account = uuid4()
    await gateway.call(OPERATOR, "POST", grants(account), json={"amount": 3, "reason": "test"})
    _, credits_ = await gateway.call(owner(account), "GET", "/api/credits")
    available = credits_["available"]
    for size_bytes, cost in ((0, 1), (1_048_576, 1), (1_048_577, 2), (104_857_600, 100)):
        status, quote = await gateway.call(owner(account), "GET", f"/internal/quote?size_bytes={size_bytes}")
        left = available - cost
        assert (status, quote) == (
            200,
            {"cost": cost, "available": available, "balance_after": left, "sufficient": left >= 0, "short": False},
        ), "an account of which billing has not heard is never short"
    for size in ("", "x", "-1"):
        status, refusal = await gateway.call(owner(account), "GET", f"/internal/quote?size_bytes={size}")
        assert (status, refusal["code"]) == (400, "invalid_request")
