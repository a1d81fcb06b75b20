"""What the runtime knows of one deployment. In memory only: after a restart the runtime is empty, on purpose."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from pac.agentkit.environment import Explanation
from pac.agentkit.runtime.agent import Agent
from pac.agentkit.runtime.output import Output
from pac.agentkit.runtime.wire import DeployRequest


class Status(StrEnum):
    PENDING = "pending"
    DOWNLOADING = "downloading"
    LOADING = "loading"
    DEPLOYED = "deployed"
    STARTING = "starting"
    HEALTHY = "healthy"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


MESSAGES = {
    Status.PENDING: "Waiting for its turn",
    Status.DOWNLOADING: "Downloading package",
    Status.LOADING: "Loading package",
    Status.DEPLOYED: "Package is in place",
    Status.STARTING: "Starting the agent",
    Status.STOPPING: "Stopping the agent",
}


@dataclass
class Deployment:
    """`number` counts deployments in the order given; of one app, the highest that is healthy serves.

    `change` is set at the next move, or when all is over; then another takes its place. Take it before what it is about
    is looked at, or without an await between.
    """

    number: int
    request: DeployRequest
    output: Output
    status: Status = Status.PENDING
    message: str | None = MESSAGES[Status.PENDING]
    answers: bool = False
    agent: Agent | None = None
    explained: tuple[Explanation, ...] = ()  # of the environment that the agent was last started with
    task: asyncio.Task[None] | None = None
    stop_reason: str | None = None
    slot: int | None = None
    ending: bool = False  # it is being cleaned up, which nothing may cut short
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    change: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        return self.request.deployment_id

    @property
    def app(self) -> str:
        return self.request.agent_app_id

    @property
    def is_over(self) -> bool:
        """Nothing of it runs, and nothing of it will."""
        return self.ended.is_set()

    @property
    def healthy(self) -> bool:
        return self.status is Status.HEALTHY and self.answers

    def moved(self, status: Status, message: str | None = None) -> None:
        self.status = status
        self.message = message if message is not None else MESSAGES.get(status)
        self.answers = status is Status.HEALTHY
        self._tell()

    def over(self) -> None:
        """Nothing of it is left."""
        self.ended.set()
        self._tell()

    def _tell(self) -> None:
        self.change.set()
        self.change = asyncio.Event()
