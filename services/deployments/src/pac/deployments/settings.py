"""The settings of deployments, read once from the environment as DEPLOYMENTS_…"""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from pac.deployments.domain import Policy
from pac.deployments.queries import Thresholds
from pac.deployments.slots import Limits
from pac.servicekit.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEPLOYMENTS_", frozen=True)

    parallel_per_account: int = Field(default=4, ge=1, le=1000)
    parallel_overall: int = Field(default=64, ge=1, le=100_000)

    step_attempts: int = Field(default=3, ge=1, le=100)
    step_deadline_seconds: float = Field(default=300.0, gt=0)  # a runtime may take minutes to become healthy
    step_backoff_seconds: float = Field(default=5.0, ge=0)
    finalize_deadline_seconds: float = Field(default=30.0, gt=0)
    hold_deadline_seconds: float = Field(default=86_400.0, gt=0)  # credits held, no slot
    abort_again_seconds: float = Field(default=60.0, gt=0)
    longest_wait_seconds: float = Field(default=900.0, gt=0)  # between two askings

    sweep_seconds: float = Field(default=1.0, gt=0)
    dispatch_seconds: float = Field(default=0.5, gt=0)  # the floor; commits wake the dispatcher

    streams_per_account: int = Field(default=20, ge=1)  # open event streams, in one process
    streams_overall: int = Field(default=1000, ge=1)
    heartbeat_seconds: float = Field(default=15.0, gt=0, le=50)  # the gateway gives up after 55 s of silence

    queue_warning: int = Field(default=100, ge=0)
    failure_rate_warning: float = Field(default=0.10, ge=0, le=1)
    failure_rate_finished_min: int = Field(default=20, ge=1)
    projection_behind_seconds: float = Field(default=30.0, gt=0)
    stuck_seconds: float = Field(default=10.0, ge=0)  # past a deadline, before it counts as stuck
    asked_max: int = Field(default=3, ge=1)  # capture and settlement, before their deployment counts as stuck

    @property
    def policy(self) -> Policy:
        return Policy(
            attempts=self.step_attempts,
            step_deadline=timedelta(seconds=self.step_deadline_seconds),
            finalize_deadline=timedelta(seconds=self.finalize_deadline_seconds),
            backoff=timedelta(seconds=self.step_backoff_seconds),
            hold_deadline=timedelta(seconds=self.hold_deadline_seconds),
            ask_again=timedelta(seconds=self.abort_again_seconds),
            longest_wait=timedelta(seconds=self.longest_wait_seconds),
        )

    @property
    def limits(self) -> Limits:
        return Limits(self.parallel_per_account, self.parallel_overall)

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(
            queued=self.queue_warning,
            failure_rate=self.failure_rate_warning,
            failure_rate_finished_min=self.failure_rate_finished_min,
            behind_seconds=self.projection_behind_seconds,
            late_seconds=self.stuck_seconds,
            asked=self.asked_max,
        )
