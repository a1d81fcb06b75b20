"""What a deployment may do next. Pure: no clock, no new ids, no I/O."""

from pac.deployments.domain.app import APP, AppState, PinApp, ReleaseApp, StopApp
from pac.deployments.domain.commands import (
    AbandonDeployment,
    CancelDeployment,
    CheckDeadline,
    Command,
    CompleteDeployment,
    CompleteStep,
    FailStep,
    FundDeployment,
    HoldUpStep,
    OvertakeDeployment,
    QueueDeployment,
    RefuseCredits,
    RejectPackage,
    ResumeStep,
    SettleCredits,
    SettlePackage,
    StartDeployment,
)
from pac.deployments.domain.decisions import decider
from pac.deployments.domain.policy import Policy
from pac.deployments.domain.state import HOLDING_A_SLOT, OPEN, Deployment, Status, StepRecord, evolve

__all__ = [
    "APP",
    "HOLDING_A_SLOT",
    "OPEN",
    "AbandonDeployment",
    "AppState",
    "CancelDeployment",
    "CheckDeadline",
    "Command",
    "CompleteDeployment",
    "CompleteStep",
    "Deployment",
    "FailStep",
    "FundDeployment",
    "HoldUpStep",
    "OvertakeDeployment",
    "PinApp",
    "Policy",
    "QueueDeployment",
    "RefuseCredits",
    "RejectPackage",
    "ReleaseApp",
    "ResumeStep",
    "SettleCredits",
    "SettlePackage",
    "StartDeployment",
    "Status",
    "StepRecord",
    "StopApp",
    "decider",
    "evolve",
]
