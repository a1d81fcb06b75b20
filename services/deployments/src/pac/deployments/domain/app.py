"""What an app is set to: pinned to the release of a rollback, stopped. The fold of its own stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from pac.contracts.deployments import AppEvent, AppPinned, AppReleased, AppStopped
from pac.eventlog.copying import changed
from pac.eventlog.types import Decider


@dataclass(frozen=True)
class AppState:
    """`stopped_release`: nothing up to it shall run."""

    pinned_to: UUID | None = None
    stopped_release: int = 0


@dataclass(frozen=True)
class PinApp:
    """A rollback of the app, `deployment_id`, has completed."""

    account_id: UUID
    agent_app_id: UUID
    deployment_id: UUID
    at: datetime


@dataclass(frozen=True)
class ReleaseApp:
    account_id: UUID
    agent_app_id: UUID
    at: datetime


@dataclass(frozen=True)
class StopApp:
    """`release`: the highest that was given until now; read under the lock of the slots."""

    account_id: UUID
    agent_app_id: UUID
    release: int
    at: datetime


AppCommand = PinApp | ReleaseApp | StopApp


def decide(now: AppState, command: AppCommand) -> Sequence[AppEvent]:
    app: dict[str, Any] = {"account_id": command.account_id, "agent_app_id": command.agent_app_id, "at": command.at}
    match command:
        case PinApp(deployment_id=deployment_id):
            return [AppPinned(**app, deployment_id=deployment_id)] if now.pinned_to != deployment_id else []
        case ReleaseApp():
            return [AppReleased(**app)] if now.pinned_to is not None else []
        case StopApp(release=release):
            return [AppStopped(**app, release=release)] if release > now.stopped_release else []
        case _:
            assert_never(command)


def evolve(now: AppState, event: AppEvent) -> AppState:
    match event:
        case AppPinned(deployment_id=deployment_id):
            return changed(now, pinned_to=deployment_id)
        case AppReleased():
            return changed(now, pinned_to=None)
        case AppStopped(release=release):
            return changed(now, stopped_release=release)
        case _:
            assert_never(event)


APP: Decider[AppState, AppCommand, AppEvent] = Decider("appstate", AppState(), decide, evolve)
