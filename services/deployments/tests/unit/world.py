"""The hub's decider among honest neighbours that answer late, doubled and in any order; and the laws it must keep.

One deployment. Every neighbour says things in an order of its own; between neighbours nothing is ordered. News that is
too early stays where it is and is tried again, as parking does.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pac.contracts.base import Step
from pac.contracts.deployments import (
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentQueued,
    DeploymentRejected,
    StepCompleted,
    StepFailed,
    StepStarted,
)
from pac.contracts.errors import Refused
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
from pac.eventlog.types import Decider, TooEarly

from .examples import CONTENT, ID, NOON, POLICY, SUBMITTED

Hub = Decider[Deployment, Command, DeploymentEvent]
TERMINAL = (DeploymentCompleted, DeploymentFailed, DeploymentCancelled, DeploymentRejected)


@dataclass
class World:
    hub: Hub
    chance: random.Random
    now: datetime = NOON
    log: list[DeploymentEvent] = field(default_factory=list)
    state: Deployment = field(default_factory=Deployment)
    said: dict[str, deque[Command]] = field(
        default_factory=lambda: {"packages": deque(), "billing": deque(), "notifier": deque()}
    )
    hold: str | None = None
    captured_by: int = 0
    asked_to_withdraw: bool = False
    withdrawn: bool = False
    verdict: str = "sound"

    def tell(self, command: Command) -> bool:
        """Whether the hub could place it."""
        try:
            events = list(self.hub.decide(self.state, command))
        except TooEarly:
            return False
        except Refused:
            return True
        for event in events:
            self.log.append(event)
            self.state = self.hub.evolve(self.state, event)
            self._hear(event)
            self._check(event)
        return True

    # ---- the neighbours

    def _hear(self, event: DeploymentEvent) -> None:  # noqa: C901 - one case an event
        match event:
            case DeploymentQueued():
                self.hold = self.chance.choice(["reserved", "reserved", "reserved", "refused"])
                news: Command = (
                    FundDeployment(ID, self.now) if self.hold == "reserved" else RefuseCredits(ID, 9, 1, self.now)
                )
                self.said["billing"].append(news)
            case StepStarted(step=Step.FINALIZE, attempt=attempt):
                if self.hold == "reserved":
                    self.hold, self.captured_by = "captured", attempt
                    self.said["billing"].append(CompleteDeployment(ID, attempt, self.now))
                assert self.hold == "captured", f"asked to capture a hold that is {self.hold}"
            case StepStarted(step=Step.NOTIFY_RUNTIME, attempt=attempt):
                if answer := self._runtime(attempt):
                    self.said["notifier"].append(answer)
            case StepStarted(step=step, attempt=attempt):
                if answer := self._package(step, attempt):
                    self.said["packages"].append(answer)
            case DeploymentAborted():
                if self.hold == "reserved":
                    self.hold = "released"
                    self.said["billing"].append(SettleCredits(ID, self.now))
                if not self.asked_to_withdraw:
                    self.asked_to_withdraw = True
                    self.said["packages"].append(SettlePackage(ID, self.now))
            case _:
                pass

    def _runtime(self, attempt: int) -> Command | None:
        kind = self.chance.choice(["ready", "ready", "retriable", "final", "lost"])
        if kind == "ready":
            return CompleteStep(ID, Step.NOTIFY_RUNTIME, attempt, self.now)
        if kind == "lost":
            return None
        return FailStep(ID, Step.NOTIFY_RUNTIME, attempt, "no", retriable=kind == "retriable", at=self.now)

    def _package(self, step: Step, attempt: int) -> Command | None:
        if self.asked_to_withdraw or self.chance.random() < 0.1:
            return None
        if step is Step.VALIDATE_PACKAGE and (self.verdict == "bad" or self.chance.random() < 0.1):
            self.verdict = "bad"
            return RejectPackage(ID, ("bad", "worse"), self.now)
        return CompleteStep(ID, step, attempt, self.now, CONTENT if step is Step.UPLOAD_TO_S3 else None)

    # ---- what may happen

    def deliver(self, neighbour: str, *, twice: bool = False) -> None:
        queue = self.said[neighbour]
        if queue and isinstance(queue[0], SettlePackage):
            self.withdrawn = True  # packages does it, then says it
        if queue and self.tell(queue[0]):
            news = queue.popleft()
            if twice:
                before = len(self.log)
                assert self.tell(news), "the same news is too early the second time"
                assert len(self.log) == before, f"the same news twice: {news}"

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.tell(CheckDeadline(ID, self.now))

    def slot(self) -> None:
        self.tell(StartDeployment(ID, 3, self.now))

    def run(self, steps: int) -> None:
        neighbours = sorted(self.said)
        self.tell(QueueDeployment(SUBMITTED))
        for _ in range(steps):
            kind = self.chance.choices(["news", "slot", "wait", "wish"], [10, 4, 3, 1])[0]
            if kind == "news":
                self.deliver(self.chance.choice(neighbours), twice=self.chance.random() < 0.3)
            elif kind == "slot":
                self.slot()
            elif kind == "wait":
                self.wait(self.chance.choice([1, 6, 61, 301]))
            elif self.chance.random() < 0.3:
                wishes: list[Command] = [
                    CancelDeployment(ID, self.now),
                    AbandonDeployment(ID, self.now),
                    OvertakeDeployment(ID, self.now),
                ]
                self.tell(self.chance.choice(wishes))

    def settle(self) -> None:
        """Everything flows: all news is heard, slots are free, time passes."""
        for _ in range(60):
            for neighbour in sorted(self.said):
                while queue := self.said[neighbour]:
                    before = len(queue)
                    self.deliver(neighbour)
                    if len(queue) == before:
                        break
            self.slot()
            self.wait(901)
        assert not any(self.said.values()), f"parked for ever: {self.said}"
        assert isinstance(self.log[-1], TERMINAL), f"never ends: {self.state.status}"

    # ---- the laws

    def _check(self, event: DeploymentEvent) -> None:
        assert not any(isinstance(each, TERMINAL) for each in self.log[:-1]), "something follows the end"
        assert self.hub.fold(self.log) == self.state
        match event:
            case DeploymentCompleted():
                assert self.hold == "captured", f"completed with a hold {self.hold}"
            case DeploymentFailed() | DeploymentCancelled() | DeploymentRejected():
                assert self.hold in ("released", "refused"), f"{event.type} with a hold {self.hold}"
                assert self.withdrawn, f"{event.type} before the package was withdrawn"
            case StepStarted(step=step, attempt=attempt):
                self._check_step(step, attempt)
            case _:
                pass

    def _check_step(self, step: Step, attempt: int) -> None:
        assert step is Step.FINALIZE or attempt <= POLICY.attempts, "more attempts than allowed"
        live: set[tuple[Step, int]] = set()
        for event in self.log:
            if isinstance(event, StepStarted):
                live = {each for each in live if each[0] is not Step.FINALIZE} | {(event.step, event.attempt)}
            if isinstance(event, StepCompleted | StepFailed):
                live.discard((event.step, event.attempt))
        assert len(live) == 1, f"more than one step is live: {live}"
        assert not any(isinstance(each, DeploymentAborted) for each in self.log), "a step begins after the abort"
