"""What a later release has said is set aside with its reason, for the time when this service is of that release too."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, cast
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry

from pac.contracts.billing import CreditsReserved
from pac.contracts.envelope import Envelope, to_kafka
from pac.contracts.topics import EVENTS_OF, ServiceName
from pac.eventlog import EventLog, Message, Raw
from pac.servicekit.handling import Handling, Unreadable
from pac.servicekit.metrics import Metrics


class ReservedLater(CreditsReserved):
    data_version: ClassVar[int] = 2


@dataclass
class Shelf:
    held: set[tuple[str, str]] = field(default_factory=set)
    reasons: list[tuple[str, str, bool]] = field(default_factory=list)

    async def look(self, subjects: Iterable[str]) -> None:
        pass

    def holds(self, subject: str, topic: str) -> bool:
        return (subject, topic) in self.held

    async def put(self, raw: Raw, reason: str, *, early: bool) -> None:
        self.reasons.append((raw.topic, reason, early))

    async def heard(self, subject: str) -> None:
        raise AssertionError(f"{subject} was not heard")


async def never(message: Message[Any]) -> None:
    raise AssertionError("handed to its handler")


def of_a_later_release() -> Raw:
    event = ReservedLater(account_id=UUID(int=1), at=datetime.now(UTC), deployment_id=UUID(int=2), amount=1)
    key, value, headers = to_kafka(Envelope(uuid4(), "billing", "hold-1", 1, event, "key-1", uuid4()))
    return Raw("billing.events", 0, 0, key, value, headers)


async def test_an_event_of_a_later_release_is_parked_with_its_reason() -> None:
    shelf = Shelf()
    handling = Handling(
        consumer="deployments",
        log=cast("EventLog", None),  # nothing is asked of the log before the event is read
        shelf=shelf,
        metrics=Metrics(registry=CollectorRegistry()),
        handlers={"billing.events": (never, EVENTS_OF[ServiceName.BILLING])},
        wait_seconds=1,
    )
    with pytest.raises(Unreadable, match="CreditsReserved is of version 2"):
        await handling.attempt(of_a_later_release())
    await handling.take(of_a_later_release())
    reason = "CreditsReserved is of version 2, and this release knows 1: it needs a later release"
    assert shelf.reasons == [("billing.events", reason, False)]
