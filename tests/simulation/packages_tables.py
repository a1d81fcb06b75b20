"""What packages keeps in tables, in memory: the shelf; and its worker without bytes. All decisions are real."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Step
from pac.contracts.packages import Problem
from pac.packages.domain.submission import Bad, Described, Finding, Stored, Valid
from pac.packages.domain.versions import Holder, Place, Status
from pac.packages.shelf import NewPackage, Shelf
from pac.packages.work import Work

from .catalog import Law
from .world import Journal, Pause, Rows, World, named

BAD = (Problem(code="agent_yaml_missing", message="agent.yaml is missing"),)


@dataclass(frozen=True)
class App:
    no: int = 0
    deleted: bool = False
    current_release: int = 0
    current_package_id: UUID | None = None
    current_deployment_id: UUID | None = None


@dataclass(frozen=True)
class Package:
    package_id: UUID
    account_id: UUID
    app_id: UUID
    version: str
    sha256: str
    size_bytes: int
    object_key: str
    staging_key: str | None
    created_at: datetime
    signature: str = "none"
    status: Status = Status.UPLOADING
    kept: bool = False
    done: Sequence[str] = ()
    manifest: object = None
    metadata: object = None
    problems: Sequence[Mapping[str, str]] | None = None
    superseded_by: UUID | None = None
    withdrawn_at: datetime | None = None


@dataclass(frozen=True)
class Submission:
    """A row of `state.submissions`, with its defaults."""

    deployment_id: UUID
    package_id: UUID
    account_id: UUID
    app_id: UUID
    version: str
    no: int
    source: str
    queued_at: datetime
    sealed_key: str | None = None
    open: bool = True
    decision: str = "undecided"
    required: int | None = None
    available: int | None = None
    jobs: Sequence[str] = ()
    started_at: datetime | None = None
    completed_at: datetime | None = None
    release: int | None = None


@dataclass
class Tables:
    """`releases`: what a rollback will choose from; `objects`: where bytes are. `guards_release`: SQL."""

    journal: Journal
    guards_release: bool = True
    keeps_bytes: bool = True
    apps: Rows[UUID, App] = field(init=False)
    packages: Rows[UUID, Package] = field(init=False)
    versions: Rows[tuple[UUID, str], tuple[UUID | None, UUID | None]] = field(init=False)
    submissions: Rows[UUID, Submission] = field(init=False)
    releases: Rows[tuple[UUID, int], UUID] = field(init=False)
    objects: Rows[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        self.apps, self.packages, self.versions = Rows(self.journal), Rows(self.journal), Rows(self.journal)
        self.submissions, self.releases, self.objects = Rows(self.journal), Rows(self.journal), Rows(self.journal)

    def users(self, package_id: UUID) -> frozenset[UUID]:
        return frozenset(s.deployment_id for s in self.submissions.values() if s.package_id == package_id and s.open)

    def shelf(self, app_id: UUID) -> "MemoryShelf":
        return MemoryShelf(cast("AsyncConnection", self), app_id)


@dataclass(frozen=True)
class MemoryShelf(Shelf):
    @property
    def tables(self) -> Tables:
        return cast("Tables", self.connection)

    async def app(self) -> Row[Any] | None:
        return cast("Row[Any] | None", self.tables.apps.get(self.app_id))

    async def next_no(self) -> int:
        app = self.tables.apps.get(self.app_id, App())
        self.tables.apps[self.app_id] = replace(app, no=app.no + 1)
        return app.no + 1

    async def mark_deleted(self) -> None:
        self.tables.apps[self.app_id] = replace(self.tables.apps.get(self.app_id, App()), deleted=True)

    async def move_current(self, release: int, package_id: UUID, deployment_id: UUID) -> None:
        self.tables.releases[self.app_id, release] = deployment_id
        app = self.tables.apps.get(self.app_id, App())
        if app.current_release < release or not self.tables.guards_release:
            self.tables.apps[self.app_id] = replace(
                app, current_release=release, current_package_id=package_id, current_deployment_id=deployment_id
            )

    async def place(self, version: str) -> Place:
        both = self.tables.versions.get((self.app_id, version), (None, None))
        holders = await self.holders([package_id for package_id in both if package_id])
        return Place(*(holders.get(package_id) if package_id else None for package_id in both))

    async def put(self, version: str, place: Place) -> None:
        where = (self.app_id, version)
        if place != Place():
            self.tables.versions[where] = (
                place.holder.package_id if place.holder else None,
                place.beside.package_id if place.beside else None,
            )
        elif where in self.tables.versions:
            del self.tables.versions[where]

    async def holders(self, package_ids: Sequence[UUID]) -> dict[UUID, Holder]:
        rows = [self.tables.packages[found] for found in package_ids if found in self.tables.packages]
        return {
            row.package_id: Holder(row.package_id, row.status, row.kept, self.tables.users(row.package_id))
            for row in rows
        }

    async def package(self, package_id: UUID) -> Row[Any] | None:
        row = self.tables.packages.get(package_id)
        return cast("Row[Any] | None", row if row is not None and row.app_id == self.app_id else None)

    async def add(self, new: NewPackage, **more: Any) -> None:
        fields = {name: getattr(new, name) for name in new.__dataclass_fields__ if name != "release_notes"}
        self.tables.packages[new.package_id] = Package(**{**fields, **more})

    async def change(self, package_id: UUID, **values: Any) -> None:
        row = self.tables.packages[package_id] = replace(self.tables.packages[package_id], **values)
        if row.status is Status.WITHDRAWN and not self.tables.keeps_bytes:
            for key in (row.staging_key, row.object_key):
                if key is not None and key in self.tables.objects:
                    del self.tables.objects[key]

    async def submission(self, deployment_id: UUID) -> Row[Any] | None:
        return await submission_row(self.connection, deployment_id)

    async def open_submission(self, **values: Any) -> None:
        self.tables.submissions[values["deployment_id"]] = Submission(app_id=self.app_id, **values)

    async def change_submission(self, deployment_id: UUID, **values: Any) -> None:
        self.tables.submissions[deployment_id] = replace(self.tables.submissions[deployment_id], **values)

    async def last_deployment(self, package_id: UUID) -> UUID | None:
        mine = [s for s in self.tables.submissions.values() if s.package_id == package_id]
        return max(mine, key=lambda s: s.no).deployment_id if mine else None


async def submission_row(connection: AsyncConnection, deployment_id: UUID) -> Row[Any] | None:
    return cast("Row[Any] | None", cast("Tables", connection).submissions.get(deployment_id))


async def nothing(*_: object) -> None:
    """In the place of notes about objects: no request dies between an object and its row here."""


async def no_estimate(*_: object) -> int:
    return 120


@dataclass(frozen=True)
class Objects:
    """Stands where `Leftovers` does: what is unstaged is gone."""

    tables: Tables

    async def remove(self, key: str) -> None:
        if key in self.tables.objects:
            del self.tables.objects[key]


@dataclass(frozen=True)
class MemoryWork(Work):
    """Real orders, real answers; what a step finds is chosen by whoever resumes it."""

    world: World = field(kw_only=True)
    tables: Tables = field(kw_only=True)

    async def _done(self, step: Step, package: Row[Any]) -> tuple[Finding, dict[str, Any]]:
        how = await Pause("working")
        self.world.tell(f"   a worker does {step} of {package.package_id}: {how}")
        staged, stored = (key in self.tables.objects for key in (package.staging_key, package.object_key))
        self.world.must(staged or stored, Law.WITHOUT_BYTES, step)
        if step is Step.UPLOAD_TO_S3:
            self.tables.objects[package.object_key] = True
        await Pause("answering")  # the effect is there, and nobody was told
        match step:
            case Step.VALIDATE_PACKAGE if how == "bad":
                problems = [problem.model_dump(mode="json", exclude_none=True) for problem in BAD]
                return Bad(BAD), {"status": Status.REJECTED, "problems": problems}
            case Step.VALIDATE_PACKAGE:
                return Valid(), {}
            case Step.UPLOAD_TO_S3:
                return Stored(package.object_key), {"status": Status.STORED, "staging_key": None}
            case Step.GENERATE_METADATA:
                return Described(), {"metadata": {}, "manifest": {}}
            case _:
                raise ValueError(f"{named(str(step))} is not a step of packages")


class LoopClock:
    """Stands where `asyncio` does in `submitting`: only its clock is used, and that is the simulation's."""

    def __init__(self) -> None:
        self.world: World | None = None

    def get_running_loop(self) -> SimpleNamespace:
        world = self.world
        assert world is not None
        return SimpleNamespace(time=lambda: world.waited_seconds)
