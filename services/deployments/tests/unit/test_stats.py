"""The public figures: the specification's shape, and when the queue is not healthy."""

from dataclasses import replace

import pytest

from pac.deployments.api import stats_reply
from pac.deployments.queries import Figures, Thresholds, health_of

from .examples import NOON

FIGURES = Figures(
    queued=3,
    processing=1,
    completed=156,
    failed=2,
    average_seconds=45.2,
    hour_finished=20,
    hour_failed=2,
    stuck=0,
    behind_seconds=0.1,
    estimated_seconds=120,
    at=NOON.replace(microsecond=123456),
)
LIMITS = Thresholds()


def test_it_is_the_specifications_example_and_more() -> None:
    assert stats_reply(FIGURES, LIMITS).model_dump(mode="json", by_alias=True) == {
        "stats": {"queued": 3, "processing": 1, "completed": 156, "failed": 2, "total": 162},
        "health": {"status": "healthy", "message": "Queue is operating normally"},
        "metrics": {
            "avgProcessingTimeSeconds": 45,
            "lastUpdated": "2024-01-01T12:00:00Z",
            "estimatedDurationSeconds": 120,
        },
    }


@pytest.mark.parametrize(
    ("figures", "status", "number"),
    [
        (replace(FIGURES, queued=100), "healthy", "normally"),
        (replace(FIGURES, queued=101), "warning", "101"),
        (replace(FIGURES, hour_failed=3), "warning", "3 of 20"),
        (replace(FIGURES, hour_failed=19, hour_finished=19), "healthy", "normally"),
        (replace(FIGURES, stuck=1), "critical", "1 deployment is"),
        (replace(FIGURES, stuck=2, queued=101), "critical", "2 deployments are"),
        (replace(FIGURES, behind_seconds=30.0), "healthy", "normally"),
        (replace(FIGURES, behind_seconds=31.0), "critical", "31 s"),
    ],
)
def test_the_message_says_which_rule_with_its_number(figures: Figures, status: str, number: str) -> None:
    found, message = health_of(figures, LIMITS)
    assert found == status
    assert number in message
