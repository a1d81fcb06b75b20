"""A small domain for the log's tests: an app is pinned to deployments, one after the other, and released."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from pac.contracts.deployments import AppPinned, AppReleased
from pac.contracts.envelope import Envelope
from pac.eventlog import Cause, Decider, Message

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACCOUNT = UUID(int=7)


@dataclass(frozen=True)
class Pin:
    app_id: UUID
    times: int = 1
    at: datetime = NOON


@dataclass(frozen=True)
class Pins:
    count: int = 0


def decide(now: Pins, command: Pin) -> list[AppPinned]:
    return [
        AppPinned(
            account_id=ACCOUNT,
            at=command.at + timedelta(seconds=now.count + n),
            agent_app_id=command.app_id,
            deployment_id=UUID(int=now.count + n),
        )
        for n in range(command.times)
    ]


def evolve(now: Pins, event: AppPinned) -> Pins:
    assert event.deployment_id.int == now.count
    return Pins(now.count + 1)


PINS = Decider(category="appstate", initial=Pins(), decide=decide, evolve=evolve)


@dataclass(frozen=True)
class Example:
    """What tests of the log need of a domain."""

    decider: Decider[Pins, Pin, AppPinned] = PINS
    cause: Cause = field(default_factory=lambda: Cause(actor="key-1", correlation_id=uuid4()))

    def pin(self, app_id: UUID, times: int = 1) -> Pin:
        return Pin(app_id, times)

    def pinned(self, app_id: UUID, number: int = 0) -> AppPinned:
        return decide(Pins(number), Pin(app_id))[0]

    def message(self, stream_id: UUID, version: int, *, consumer: str = "packages") -> Message[AppReleased]:
        told = Envelope(
            id=uuid4(),
            source="gateway",
            stream=f"app-{stream_id}",
            version=version,
            event=AppReleased(account_id=ACCOUNT, at=NOON, agent_app_id=stream_id),
            actor="user-1",
            correlation_id=uuid4(),
        )
        return Message(consumer, told)


@pytest.fixture
def example() -> Example:
    return Example()
