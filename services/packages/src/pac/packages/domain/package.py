"""What packages may say about a package outside of any deployment, on `package-<id>`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never
from uuid import UUID

from pac.contracts.packages import PackageDeleted, PackageSuperseded, PackageUploaded
from pac.eventlog.types import Decider

OwnEvent = PackageUploaded | PackageSuperseded | PackageDeleted


@dataclass(frozen=True)
class OwnPackage:
    uploaded: bool = False
    superseded: bool = False
    deleted: bool = False


@dataclass(frozen=True)
class Upload:
    package_id: UUID
    account_id: UUID
    agent_app_id: UUID
    package_version: str
    sha256: str
    size_bytes: int
    object_key: str
    at: datetime
    signed_by: str | None = None
    signing_key: str | None = None


@dataclass(frozen=True)
class Supersede:
    package_id: UUID
    account_id: UUID
    agent_app_id: UUID
    by_package_id: UUID
    at: datetime


@dataclass(frozen=True)
class Delete:
    package_id: UUID
    account_id: UUID
    agent_app_id: UUID
    at: datetime


PackageCommand = Upload | Supersede | Delete


def decide_package(now: OwnPackage, command: PackageCommand) -> Sequence[OwnEvent]:
    match command:
        case Upload():
            if now.uploaded:
                return []
            return [
                PackageUploaded(
                    account_id=command.account_id,
                    at=command.at,
                    package_id=command.package_id,
                    agent_app_id=command.agent_app_id,
                    package_version=command.package_version,
                    sha256=command.sha256,
                    size_bytes=command.size_bytes,
                    object_key=command.object_key,
                    signed_by=command.signed_by,
                    signing_key=command.signing_key,
                )
            ]
        case Supersede(package_id, account_id, agent_app_id, by_package_id, at):
            if now.superseded or now.deleted:
                return []
            return [
                PackageSuperseded(
                    account_id=account_id,
                    at=at,
                    package_id=package_id,
                    agent_app_id=agent_app_id,
                    by_package_id=by_package_id,
                )
            ]
        case Delete(package_id, account_id, agent_app_id, at):
            if now.deleted:
                return []
            return [PackageDeleted(account_id=account_id, at=at, package_id=package_id, agent_app_id=agent_app_id)]
        case _:
            assert_never(command)


def evolve_package(now: OwnPackage, event: OwnEvent) -> OwnPackage:
    match event:
        case PackageUploaded():
            return replace(now, uploaded=True)
        case PackageSuperseded():
            return replace(now, superseded=True)
        case PackageDeleted():
            return replace(now, deleted=True)
        case _:
            assert_never(event)


PACKAGE: Decider[OwnPackage, PackageCommand, OwnEvent] = Decider(
    "package", OwnPackage(), decide_package, evolve_package
)
