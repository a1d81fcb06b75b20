"""The live laws of the hub: each broken by hand is named, and it alone."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from pac.contracts.topics import ServiceName
from pac.deployments.invariants import laws_of_deployments
from pac.deployments.queries import Thresholds
from pac.servicekit.invariants import Invariants
from pac.testkit.postgres import EventLogOf

from .hub import Hub


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    """One deployment waits for credits, one has a slot, one is being given up; all of them just now."""
    hub = Hub(await event_log_of(ServiceName.DEPLOYMENTS), now=datetime.now(UTC))
    await hub.submitted(uuid4(), uuid4())
    aborting = await hub.held(uuid4(), uuid4())
    await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    await hub.cancelled(aborting)
    return hub


async def told(hub: Hub) -> dict[str, dict[str, Any]]:
    judged = await Invariants(hub.log, laws_of_deployments(Thresholds())).look()
    assert judged.unchecked == []
    return {law["name"]: law for law in judged.laws}


async def test_all_hold(hub: Hub) -> None:
    found = await told(hub)
    assert {name: (law["holds"], law["checked"]) for name, law in found.items()} == {
        "nothing_is_overdue": (True, 3),
        "everything_has_a_deadline": (True, 3),
        "billing_answers": (True, 3),
        "every_end_comes": (True, 3),
    }


@pytest.mark.parametrize(
    ("broken_by", "law", "detail"),
    [
        (
            "UPDATE state.queue SET due_at = now() - interval '2 min' WHERE status = 'processing'",
            "nothing_is_overdue",
            "is processing, 120 s past its deadline",
        ),
        (
            "UPDATE state.queue SET due_at = NULL WHERE status = 'processing'",
            "everything_has_a_deadline",
            "is processing without a deadline",
        ),
        (
            "UPDATE state.queue SET queued_at = now() - interval '10 min' WHERE status = 'undecided'",
            "billing_answers",
            "has waited for credits for 600 s",
        ),
        (
            "UPDATE state.queue SET attempt = 9 WHERE status = 'aborting'",
            "every_end_comes",
            "is aborting, asked 9 times",
        ),
    ],
)
async def test_what_is_broken_is_named_and_the_others_hold(hub: Hub, broken_by: str, law: str, detail: str) -> None:
    async with hub.log.engine.begin() as connection:
        assert (await connection.execute(text(broken_by))).rowcount == 1
    found = await told(hub)
    assert [name for name in found if not found[name]["holds"]] == [law]
    assert detail in found[law]["detail"]
