"""What the metrics say of money: how many credits moved, by kind of movement, and how often there were too few."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from pac.billing.books import movement_of
from pac.contracts.billing import BillingEvent, CreditsRefused


class Figures:
    """Told of events that are committed."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.moved = Counter("credits_moved", "Credits moved, as the ledger shows it", ("kind",), registry=registry)
        self.refused = Counter("credits_refused", "Deployments refused for want of credits", registry=registry)

    def count(self, events: Sequence[BillingEvent]) -> None:
        for event in events:
            if (movement := movement_of(event)) is not None:
                self.moved.labels(movement.kind.value).inc(movement.credits)
            elif isinstance(event, CreditsRefused):
                self.refused.inc()
