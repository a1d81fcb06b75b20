"""How each event is built from what is known; the rules that choose between them are in `decisions.py`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, assert_never

from pac.contracts.base import Outcome, Source, Step
from pac.contracts.deployments import (
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentFailed,
    DeploymentFunded,
    DeploymentPartSettled,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentStarted,
    StepCompleted,
    StepFailed,
    StepResumed,
    StepStarted,
    StepWaiting,
)
from pac.contracts.packages import PackageSubmitted
from pac.deployments.domain.policy import Policy
from pac.deployments.domain.state import Deployment, Part


def queued(submission: PackageSubmitted) -> DeploymentQueued:
    """The submission, word for word: later steps read everything from here."""
    return DeploymentQueued(
        **{name: getattr(submission, name) for name in DeploymentQueued.model_fields if name != "type"}
    )


@dataclass(frozen=True)
class Facts:
    """What `now` could say at `at`."""

    policy: Policy
    now: Deployment
    at: datetime

    def _ids(self) -> dict[str, Any]:
        package = self.now.submission
        return {"account_id": package.account_id, "deployment_id": package.deployment_id, "at": self.at}

    def _app(self) -> dict[str, Any]:
        return {"agent_app_id": self.now.submission.agent_app_id, "package_id": self.now.submission.package_id}

    def _package(self) -> dict[str, Any]:
        package = self.now.submission
        return {
            "package_version": package.package_version,
            "sha256": package.sha256,
            "size_bytes": package.size_bytes,
            "object_key": self.now.object_key,
            "release": self.now.release,
        }

    def funded(self) -> DeploymentFunded:
        return DeploymentFunded(**self._ids(), due_at=self.at + self.policy.hold_deadline)

    def started(self, release: int, *, pinned: bool) -> DeploymentStarted:
        """A rollback is what pins: it becomes current, whether the app is pinned or not."""
        package = self.now.submission
        keeps_out = pinned and package.source is not Source.ROLLBACK
        return DeploymentStarted(**self._ids(), agent_app_id=package.agent_app_id, release=release, pinned=keeps_out)

    def step_started(self, step: Step, attempt: int) -> StepStarted:
        package = self.now.submission
        return StepStarted(
            **self._ids(),
            **self._app(),
            **self._package(),
            step=step,
            attempt=attempt,
            due_at=self.policy.due(step, attempt, self.at),
            environment=package.environment if step is Step.NOTIFY_RUNTIME else None,
            force_overwrite=package.force_overwrite,
        )

    def step_completed(self, step: Step, attempt: int, object_key: str | None = None) -> StepCompleted:
        return StepCompleted(**self._ids(), step=step, attempt=attempt, object_key=object_key)

    def step_failed(self, step: Step, reason: str, *, retriable: bool, again: bool) -> StepFailed:
        attempt = self.now.attempt
        return StepFailed(
            **self._ids(),
            step=step,
            attempt=attempt,
            reason=reason,
            retriable=retriable,
            next_at=self.at + self.policy.doubled(self.policy.backoff, attempt - 1) if again else None,
        )

    def step_waiting(self, step: Step, since: datetime) -> StepWaiting:
        return StepWaiting(**self._ids(), step=step, attempt=self.now.attempt, since=since)

    def step_resumed(self, step: Step) -> StepResumed:
        return StepResumed(**self._ids(), step=step, attempt=self.now.attempt)

    def failed(self, code: str, error: str, details: tuple[str, ...] = ()) -> DeploymentAborted:
        return self._aborted(Outcome.FAILED, code, error, error_details=details)

    def cancelled(self) -> DeploymentAborted:
        return self._aborted(Outcome.CANCELLED, "cancelled", "Deployment was cancelled")

    def rejected(self, required: int, available: int) -> DeploymentAborted:
        return self._aborted(
            Outcome.REJECTED, "insufficient_credits", "Insufficient credits", required=required, available=available
        )

    def _aborted(
        self,
        outcome: Literal[Outcome.FAILED, Outcome.CANCELLED, Outcome.REJECTED],
        code: str,
        error: str,
        **more: Any,
    ) -> DeploymentAborted:
        return DeploymentAborted(
            **self._ids(),
            **self._app(),
            outcome=outcome,
            code=code,
            error=error,
            step=self.now.step,
            due_at=self.at + self.policy.ask_again,
            **more,
        )

    def aborted_again(self, aborted: DeploymentAborted) -> DeploymentAborted:
        repeated = aborted.repeated + 1
        due_at = self.at + self.policy.doubled(self.policy.ask_again, repeated)
        return aborted.model_copy(update={"at": self.at, "repeated": repeated, "due_at": due_at})

    def part_settled(self, part: Part) -> DeploymentPartSettled:
        return DeploymentPartSettled(**self._ids(), part=part)

    def ended(self, aborted: DeploymentAborted) -> DeploymentFailed | DeploymentCancelled | DeploymentRejected:
        shared = {**self._ids(), **self._app(), "code": aborted.code, "error": aborted.error}
        match aborted.outcome:
            case Outcome.FAILED:
                return DeploymentFailed(**shared)
            case Outcome.CANCELLED:
                return DeploymentCancelled(**shared)
            case Outcome.REJECTED:
                return DeploymentRejected(**shared, required=aborted.required or 0, available=aborted.available or 0)
            case _:
                assert_never(aborted.outcome)

    def completed(self) -> DeploymentCompleted:
        package = self.now.submission
        return DeploymentCompleted(
            **self._ids(),
            **self._app(),
            **self._package(),
            no=package.no,
            current=not self.now.pinned,
            environment=package.environment,
        )
