"""Streams of every release fold to the states they folded to then."""

from pathlib import Path

import pytest

from pac.contracts.runtime_notifier import DeliveryEvent, SecretsChanged
from pac.contracts.topics import ServiceName
from pac.runtime_notifier.domain import DELIVERY
from pac.runtime_notifier.secrets.domain import SECRETS
from pac.testkit.golden import Kept, kept_in, missing, untold

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("kept", kept_in(GOLDEN), ids=lambda kept: kept.path.stem)
def test_a_kept_stream_is_whole_and_folds_to_its_kept_state(kept: Kept) -> None:
    assert kept.faults(ServiceName.RUNTIME_NOTIFIER, (DELIVERY, SECRETS)) == []


def test_every_story_and_every_event_is_kept() -> None:
    assert missing(GOLDEN).keys() == set()
    assert untold(GOLDEN, DeliveryEvent, SecretsChanged) == set()
