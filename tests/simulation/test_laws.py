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

from .catalog import Law
from .schedule import run
from .services import Rules
from .shrink import told
from .stage import Stage, opened

SEEDS = int(os.environ.get("PAC_SIMULATION_SEEDS", "300"))
FIRST = int(os.environ.get("PAC_SIMULATION_FIRST", "0"))
ENOUGH, MANY = 300, 10_000
KINDS = """deploy upload stored retry_of rollback unpin stop cancel cancel_in_vain delete delete_app grant expire forget
    poison timeout replay retry crash crash_at late"""
RUNNING = "validate_package upload_to_s3 generate_metadata notify_runtime finalizing aborting"
MEETS = {
    *(f"cancel {state}" for state in f"absent undecided held {RUNNING} completed failed cancelled rejected".split()),
    *(f"timeout {state}" for state in RUNNING.split()),
    *(f"runtime {how}" for how in ("healthy", "failed", "broken", "hung", "awake")),
    *(f"crash packages {at}" for at in ("working", "answering")),
    *(f"crash runtime-notifier {at}" for at in ("giving", "looking")),
}
SELDOM = {
    "crash runtime-notifier stopped",
    "timeout held",
    *(f"delete_app {state}" for state in f"undecided held {RUNNING}".split()),
}


@pytest.fixture
def stage() -> Iterator[Stage]:
    with opened() as stage:
        yield stage


@pytest.mark.timeout(3600)
def test_the_laws_hold_in_any_order(stage: Stage) -> None:
    began, events, ends, wishes = time.monotonic(), 0, Counter[str](), Counter[str]()
    looked, met = Counter[Law](), Counter[str]()
    for seed in range(FIRST, FIRST + SEEDS):
        story = run(stage, seed, Rules())
        if story.broken:
            pytest.fail(told(stage, seed, story), pytrace=False)
        events += story.events
        ends.update(story.ends)
        wishes.update(action[0] for action in story.actions)
        looked.update(story.looked)
        met.update(story.met)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{SEEDS} seeds from {FIRST}: {events} events, {dict(ends)}, {seconds:.0f} s\n{dict(wishes)}\n")
    sys.stdout.write(f"{dict(sorted(met.items()))}\nleast looked at: {looked.most_common()[-5:]}\n")
    if SEEDS < ENOUGH:
        return  # a few seeds lived again
    assert set(ends) == {"completed", "failed", "cancelled", "rejected"}, "some end was never seen"
    assert not set(Law) - set(looked), "a law never had anything to say"
    assert not set(KINDS.split()) - set(wishes), "something never happened"
    assert not (MEETS | SELDOM if SEEDS >= MANY else MEETS) - set(met), "something never happened in some state"


def test_a_seed_tells_the_same_story_again(stage: Stage) -> None:
    stories = [
        [(story.actions, story.events) for story in (run(stage, seed, Rules()) for seed in range(5))] for _ in "12"
    ]
    assert stories[0] == stories[1]
