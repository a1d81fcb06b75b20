"""What may be said in answer to what: nobody answers unasked, and the point of no return is one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from pac.contracts.base import Event, Step
from pac.contracts.billing import CreditsCaptured
from pac.contracts.deployments import DeploymentAborted, DeploymentStarted, StepCompleted, StepFailed, StepStarted
from pac.contracts.packages import PackageDescribed, PackageRejected, PackageStored, PackageValidated
from pac.contracts.runtime_notifier import RuntimeFailed, RuntimeReady

from .catalog import Law
from .services import Services
from .world import World

Answer = (
    PackageValidated
    | PackageRejected
    | PackageStored
    | PackageDescribed
    | RuntimeReady
    | RuntimeFailed
    | CreditsCaptured
)
ASKS: Mapping[type[Event], Step] = {
    PackageValidated: Step.VALIDATE_PACKAGE,
    PackageRejected: Step.VALIDATE_PACKAGE,
    PackageStored: Step.UPLOAD_TO_S3,
    PackageDescribed: Step.GENERATE_METADATA,
    RuntimeReady: Step.NOTIFY_RUNTIME,
    RuntimeFailed: Step.NOTIFY_RUNTIME,
    CreditsCaptured: Step.FINALIZE,
}


@dataclass
class Orders:
    world: World
    services: Services
    asked: set[tuple[UUID, Step, int]] = field(default_factory=set)
    ready: set[UUID] = field(default_factory=set)
    pinned: set[UUID] = field(default_factory=set)  # of pinned apps: no runtime is asked for them
    settled: set[UUID] = field(default_factory=set)  # past the point of no return

    def said(self, event: Event) -> None:
        must = self.world.must
        match event:
            case DeploymentStarted(deployment_id=one, pinned=True):
                self.pinned.add(one)
            case StepStarted(deployment_id=one, step=step, attempt=attempt):
                self.asked.add((one, step, attempt))
                if one in self.pinned and step is Step.FINALIZE:
                    self.settled.add(one)
            case StepCompleted(deployment_id=one, step=Step.NOTIFY_RUNTIME):
                self.settled.add(one)
            case DeploymentAborted(deployment_id=one) | StepFailed(deployment_id=one):
                must(one not in self.settled, Law.ABORTED_TOO_LATE, event.type)
            case CreditsCaptured(deployment_id=one):
                must(one in self.settled, Law.CAPTURED_TOO_EARLY)
            case RuntimeReady(deployment_id=one):
                self.ready.add(one)
                wires = self.services.notifier.tables.wires
                running = [wires[wire][1].deployment_id for wire in self._running(one)]
                must(one in running, Law.READY_WITHOUT_RUNNING)
            case _:
                pass
        if isinstance(event, Answer):
            must((event.deployment_id, ASKS[type(event)], event.attempt) in self.asked, Law.UNASKED, event.type)

    def _running(self, deployment_id: UUID) -> list[str]:
        """All that runs of this deployment's app."""
        notifier = self.services.notifier
        return notifier.runtime.running(notifier.tables.deliveries[deployment_id][0])
