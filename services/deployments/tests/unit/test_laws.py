"""The laws of `flow.md` hold whatever the order; and they break when a rule is taken out, so they do see something."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pac.contracts.base import Step
from pac.contracts.deployments import DeploymentEvent, DeploymentPartSettled
from pac.deployments.domain import (
    AbandonDeployment,
    CancelDeployment,
    CheckDeadline,
    Command,
    CompleteDeployment,
    CompleteStep,
    Deployment,
    FailStep,
    FundDeployment,
    OvertakeDeployment,
    QueueDeployment,
    RefuseCredits,
    RejectPackage,
    SettleCredits,
    SettlePackage,
    StartDeployment,
)

from .examples import DEPLOYMENT, ID, NOON, POLICY, SUBMITTED
from .world import TERMINAL, Hub, World

RUNS = 150
MUTANT_RUNS = 1000  # most break within ten


def live_through(hub: Hub, seed: int) -> World:
    world = World(hub, random.Random(seed))  # noqa: S311 - a seed that can be repeated
    world.run(steps=world.chance.randint(5, 60))
    world.settle()
    return world


def live_through_all(hub: Hub, runs: int) -> Counter[str]:
    """How each ended."""
    return Counter([live_through(hub, seed).state.status for seed in range(runs)])


@given(seed=st.integers(0, 2**32))
@settings(max_examples=RUNS, deadline=None)
def test_every_deployment_ends_settled_in_any_order(seed: int) -> None:
    live_through(DEPLOYMENT, seed)


def test_all_ends_are_seen() -> None:
    assert set(live_through_all(DEPLOYMENT, RUNS)) == {"completed", "failed", "cancelled", "rejected"}


Rule = Callable[[Deployment, Command, Sequence[DeploymentEvent]], Sequence[DeploymentEvent]]


def without(rule: Rule) -> Hub:
    def decide(now: Deployment, command: Command) -> Sequence[DeploymentEvent]:
        return rule(now, command, DEPLOYMENT.decide(now, command))

    return replace(DEPLOYMENT, decide=decide)


def refused_ends_abort(
    now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    return [] if isinstance(command, RefuseCredits) and now.status == "aborting" else events


def capture_any_attempt(
    now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    return [] if isinstance(command, CompleteDeployment) and command.attempt != now.attempt else events


def settle_packages(now: Deployment, command: Command, events: Sequence[DeploymentEvent]) -> Sequence[DeploymentEvent]:
    if isinstance(command, SettleCredits) and [type(event) for event in events] == [DeploymentPartSettled]:
        alone = replace(now, unsettled=frozenset({"credits"}))
        return DEPLOYMENT.decide(alone, command)
    return events


def point_of_no_return(
    now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    if isinstance(command, AbandonDeployment) and now.status == "finalizing":
        return DEPLOYMENT.decide(replace(now, status="processing"), command)
    return events


def closed_attempts(now: Deployment, command: Command, events: Sequence[DeploymentEvent]) -> Sequence[DeploymentEvent]:
    if isinstance(command, CompleteStep) and now.status == "aborting":
        return DEPLOYMENT.decide(replace(now, status="processing", live=True), command)
    return events


def limit_of_attempts(
    now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    if isinstance(command, CheckDeadline) and len(events) > 1:
        return DEPLOYMENT.decide(replace(now, attempt=1), command)[:1]
    return events


@pytest.mark.parametrize(
    "rule",
    [
        refused_ends_abort,
        capture_any_attempt,
        settle_packages,
        point_of_no_return,
        closed_attempts,
        limit_of_attempts,
    ],
)
def test_without_the_rule_a_law_breaks(rule: Rule) -> None:
    with pytest.raises(AssertionError):
        live_through_all(without(rule), MUTANT_RUNS)


# ---- commands that no honest neighbour would give

STEPS = st.sampled_from(list(Step))
ATTEMPTS = st.integers(1, POLICY.attempts + 1)
AT = st.timedeltas(min_value=POLICY.backoff * 0, max_value=POLICY.hold_deadline * 2).map(lambda after: NOON + after)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(QueueDeployment, st.just(SUBMITTED)),
    st.builds(FundDeployment, st.just(ID), AT),
    st.builds(RefuseCredits, st.just(ID), st.just(9), st.just(1), AT),
    st.builds(StartDeployment, st.just(ID), st.integers(1, 5), AT),
    st.builds(CompleteStep, st.just(ID), STEPS, ATTEMPTS, AT),
    st.builds(FailStep, st.just(ID), STEPS, ATTEMPTS, st.just("no"), st.booleans(), AT),
    st.builds(RejectPackage, st.just(ID), st.just(("bad",)), AT),
    st.builds(CompleteDeployment, st.just(ID), ATTEMPTS, AT),
    st.builds(SettleCredits, st.just(ID), AT),
    st.builds(SettlePackage, st.just(ID), AT),
    st.builds(CancelDeployment, st.just(ID), AT),
    st.builds(OvertakeDeployment, st.just(ID), AT),
    st.builds(AbandonDeployment, st.just(ID), AT),
    st.builds(CheckDeadline, st.just(ID), AT),
)


class Anything(World):
    """Neighbours that say nothing: only the commands drawn are heard, and only the hub's own laws are checked."""

    def _hear(self, event: DeploymentEvent) -> None:
        if event.type == "StepStarted" and self.state.step is Step.FINALIZE:
            self.hold = "captured"
        if event.type == "DeploymentAborted":
            self.hold, self.withdrawn = "released", True


@given(commands=st.lists(COMMANDS, max_size=60))
@settings(max_examples=RUNS, deadline=None)
def test_no_sequence_of_commands_breaks_the_hub(commands: list[Command]) -> None:
    world = Anything(DEPLOYMENT, random.Random(0))  # noqa: S311 - draws nothing
    for command in [QueueDeployment(SUBMITTED), *commands]:
        world.tell(command)
        ended = isinstance(world.log[-1], TERMINAL)
        assert ended is (world.state.status in ("completed", "failed", "cancelled", "rejected"))
