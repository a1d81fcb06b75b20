"""The laws of `flow.md` hold in the real code of all services, whatever the order; a failing seed tells its story.

The real code: deciders, consumers, workers' answers, claims, dispatcher, sweeper, courier, what should run, prices.
Not reached: SQL (the tables are stand-ins), Kafka and parking as such (their rules are said again in `delivery.py`),
HTTP handlers, bytes. `PAC_SIMULATION_SEEDS` and `PAC_SIMULATION_FIRST` choose how many seeds, and which is the first.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .schedule import run
from .services import Rules
from .shrink import told
from .stage import Stage, opened

SEEDS = int(os.environ.get("PAC_SIMULATION_SEEDS", "300"))
FIRST = int(os.environ.get("PAC_SIMULATION_FIRST", "0"))


@pytest.fixture
def stage() -> Iterator[Stage]:
    with opened() as stage:
        yield stage


@pytest.mark.timeout(3600)
def test_the_laws_hold_in_any_order(stage: Stage) -> None:
    began, events, ends, wishes = time.monotonic(), 0, Counter[str](), Counter[str]()
    for seed in range(FIRST, FIRST + SEEDS):
        story = run(stage, seed, Rules())
        if story.broken:
            pytest.fail(told(stage, seed, story), pytrace=False)
        events += story.events
        ends.update(story.ends)
        wishes.update(action[0] for action in story.actions)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{SEEDS} seeds from {FIRST}: {events} events, {dict(ends)}, {seconds:.0f} s\n{dict(wishes)}\n")
    assert set(ends) == {"completed", "failed", "cancelled", "rejected"}, "some end was never seen"
    kinds = (
        "deploy upload stored retry_of rollback cancel delete delete_app grant timeout replay retry crash crash_at late"
    )
    assert not set(kinds.split()) - set(wishes), "something never happened"


def test_a_seed_tells_the_same_story_again(stage: Stage) -> None:
    stories = [
        [(story.actions, story.events) for story in (run(stage, seed, Rules()) for seed in range(5))] for _ in "12"
    ]
    assert stories[0] == stories[1]
