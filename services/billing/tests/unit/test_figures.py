from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client import CollectorRegistry

from pac.billing.figures import Figures
from pac.contracts.billing import CreditsCaptured, CreditsGranted, CreditsRefused, CreditsReserved

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_credits_count_by_kind_and_refusals_move_none() -> None:
    registry, account, one = CollectorRegistry(), uuid4(), uuid4()
    reserved = CreditsReserved(account_id=account, at=NOON, deployment_id=one, amount=3)
    captured = CreditsCaptured(account_id=account, at=NOON, deployment_id=one, amount=3, attempt=1)
    correction = CreditsGranted(account_id=account, at=NOON, grant_id=uuid4(), amount=-2, kind="operator")
    refused = CreditsRefused(account_id=account, at=NOON, deployment_id=uuid4(), required=5, available=1)
    figures = Figures(registry)
    figures.count([reserved, captured, correction, refused])
    figures.count([reserved])
    by_kind = {
        kind: registry.get_sample_value("credits_moved_total", {"kind": kind})
        for kind in ("reserve", "capture", "correction", "release")
    }
    assert by_kind == {"reserve": 6, "capture": 3, "correction": 2, "release": None}
    assert registry.get_sample_value("credits_refused_total") == 1
