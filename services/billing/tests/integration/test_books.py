"""An account's books over HTTP while they move: one position, pages without gap, corrections within limits."""

import asyncio
import itertools
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from .conftest import SIGN_UP_CREDITS, Billing
from .test_api import OPERATOR, Gateway, gateway, grants, owner

__all__ = ["gateway"]


async def granted(gateway: Gateway, account_id: UUID, amount: int, *, key: str | None = None) -> tuple[int, Any]:
    wish = {"amount": amount, "reason": "Books"}
    return await gateway.call(OPERATOR, "POST", grants(account_id), key=key, json=wish)


async def test_a_balance_is_read_at_one_position(billing: Billing, gateway: Gateway) -> None:
    """Whatever is held, captured and released meanwhile: no credit is seen twice, and none is missing."""
    account_id = uuid4()
    await billing.open_account(account_id)

    async def move() -> None:
        for number in range(15):
            deployment_id = uuid4()
            await billing.hear(billing.queued(account_id, deployment_id, 1))
            ended = billing.aborted if number % 2 else billing.finalizing
            await billing.hear(ended(account_id, deployment_id))

    moving, seen = asyncio.create_task(move()), Counter[tuple[int, int, int]]()
    while not moving.done():
        _, now = await gateway.call(owner(account_id), "GET", "/api/credits")
        seen[now["available"], now["reserved"], now["spent"]] += 1
    await moving
    assert len(seen) > 1
    assert {sum(books) for books in seen} == {SIGN_UP_CREDITS}


async def test_pages_stay_where_they_were_while_entries_come(billing: Billing, gateway: Gateway) -> None:
    account_id, deployments = uuid4(), [uuid4() for _ in range(4)]
    await billing.open_account(account_id)
    for deployment_id in deployments:
        await billing.hear(billing.queued(account_id, deployment_id, 1))
    wanted = [entry["id"] for entry in await page(gateway, account_id, "?limit=200")]
    shown, cursor = list[dict[str, Any]](), ""
    while True:
        _, body = await gateway.call(owner(account_id), "GET", f"/api/credits/ledger?limit=2{cursor}")
        shown += body["entries"]
        if body["next_cursor"] is None:
            break
        cursor = f"&cursor={body['next_cursor']}"
        assert (await granted(gateway, account_id, 1))[0] == 201, "an entry that comes in between"
    assert [entry["id"] for entry in shown] == wanted
    for newer, older in itertools.pairwise(shown):
        assert newer["balance"] - newer["amount"] == older["balance"], "the running balance never skips"
    assert [entry.get("deployment_id") for entry in shown] == [*map(str, reversed(deployments)), None]


async def page(gateway: Gateway, account_id: UUID, query: str) -> list[dict[str, Any]]:
    _, body = await gateway.call(owner(account_id), "GET", f"/api/credits/ledger{query}")
    found: list[dict[str, Any]] = body["entries"]
    return found


async def test_corrections_at_once_take_what_there_is_and_no_more(billing: Billing, gateway: Gateway) -> None:
    account_id = uuid4()
    await billing.open_account(account_id)
    answers = await asyncio.gather(*(granted(gateway, account_id, -3) for _ in range(8)))
    assert Counter(status for status, _ in answers) == {201: SIGN_UP_CREDITS // 3, 409: 8 - SIGN_UP_CREDITS // 3}
    _, now = await gateway.call(owner(account_id), "GET", "/api/credits")
    assert now["available"] == SIGN_UP_CREDITS % 3
    await billing.hear(billing.queued(account_id, uuid4(), 1))
    status, refused = await granted(gateway, account_id, -1)
    assert (status, refused["available"]) == (409, 0), "what is held cannot be taken back"


async def test_a_grant_and_a_correction_are_done_once_per_key_for_ever(billing: Billing, gateway: Gateway) -> None:
    """The answer is kept for a day; the entry's id follows from the key, so that later it is still the same entry."""
    account_id = uuid4()
    await billing.open_account(account_id)
    for key, amount in (("given", 5), ("taken", -4)):
        first = await granted(gateway, account_id, amount, key=key)
        assert first[0] == 201
        assert await granted(gateway, account_id, amount, key=key) == first
    async with billing.log.engine.begin() as connection:
        await connection.execute(text("DELETE FROM state.claims"))
        await connection.execute(text("UPDATE state.ledger SET reason = NULL WHERE kind = 'correction'"))
    assert (await granted(gateway, account_id, -4, key="taken"))[1]["entry"]["amount"] == -4
    assert (await granted(gateway, account_id, -5, key="given"))[0] == 422
    _, now = await gateway.call(owner(account_id), "GET", "/api/credits")
    assert now["available"] == SIGN_UP_CREDITS + 1
