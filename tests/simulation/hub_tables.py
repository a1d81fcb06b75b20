"""What deployments keeps in tables, in memory: the queue with its slots, and the dispatcher's choice, which is SQL."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.deployments import DeploymentCompleted, DeploymentEvent, DeploymentStarted
from pac.deployments.domain import HOLDING_A_SLOT, OPEN, AppState, Deployment
from pac.deployments.queue import Queue, row_of
from pac.deployments.slots import Dispatcher, Waiting
from pac.eventlog import Cause, Transaction

from .catalog import Law
from .world import Journal, Rows, World

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class App:
    last_release: int = 0
    current_deployment_id: UUID | None = None
    current_release: int = 0
    current_no: int = 0
    deleted: bool = False
    pinned_to: UUID | None = None
    stopped_release: int = 0


@dataclass
class Tables:
    """`overtakes`, `frees_at_abort`, `numbers_releases`, `looks_at_pins`: rules that are SQL, to be switched off."""

    journal: Journal
    overtakes: bool = True
    frees_at_abort: bool = True
    numbers_releases: bool = True
    looks_at_pins: bool = True
    queue: Rows[UUID, dict[str, Any]] = field(init=False)
    apps: Rows[UUID, App] = field(init=False)
    turns: Rows[UUID, datetime] = field(init=False)

    def __post_init__(self) -> None:
        self.queue, self.apps, self.turns = Rows(self.journal), Rows(self.journal), Rows(self.journal)

    def app(self, app_id: UUID) -> App:
        return self.apps.get(app_id, App())

    def busy(self) -> list[dict[str, Any]]:
        """The rows that hold a slot."""
        return [row for row in self.queue.values() if self._holds(row)]

    def _holds(self, row: dict[str, Any]) -> bool:
        if row["status"] in HOLDING_A_SLOT:
            return True
        return not self.frees_at_abort and row["status"] == "aborting" and row["started_at"] is not None

    def overtaken(self) -> list[UUID]:
        return [
            deployment_id
            for deployment_id, row in self.queue.items()
            if self.overtakes and row["status"] == "held" and row["no"] < self.app(row["agent_app_id"]).current_no
        ]

    def chosen(self, per_account: int, overall: int, skipped: Sequence[UUID]) -> UUID | None:
        """As the statement CHOOSE of `slots.py`."""
        busy = self.busy()
        running = Counter(row["account_id"] for row in busy)
        busy_apps = {row["agent_app_id"] for row in busy}
        first: dict[UUID, dict[str, Any]] = {}
        for row in sorted(self.queue.values(), key=lambda row: row["no"]):
            app = row["agent_app_id"]
            late = self.overtakes and row["no"] < self.app(app).current_no
            if row["status"] == "held" and not late and app not in busy_apps and row["deployment_id"] not in skipped:
                first.setdefault(app, row)
        able = [row for row in first.values() if running[row["account_id"]] < per_account and len(busy) < overall]
        chosen = min(
            able,
            key=lambda row: (
                running[row["account_id"]],
                self.turns.get(row["account_id"], NEVER),
                row["queued_at"],
                row["deployment_id"],
            ),
            default=None,
        )
        return chosen["deployment_id"] if chosen else None


@dataclass(frozen=True)
class MemoryQueue(Queue):
    tables: Tables = field(kw_only=True)

    async def record(
        self, tx: Transaction, before: Deployment, events: Sequence[DeploymentEvent], after: Deployment
    ) -> None:
        del tx, before
        if not events:
            return
        for event in events:
            if isinstance(event, DeploymentStarted):
                self._start(event)
            if isinstance(event, DeploymentCompleted) and event.current:
                self._complete(event)
        deployment_id = after.submission.deployment_id
        if after.status in OPEN:
            self.tables.queue[deployment_id] = self.tables.queue[deployment_id] | row_of(after)
        elif deployment_id in self.tables.queue:
            del self.tables.queue[deployment_id]

    async def enter(self, tx: Transaction, now: Deployment, cause: Cause) -> None:
        del tx
        self.tables.queue[now.submission.deployment_id] = row_of(now) | {"correlation_id": cause.correlation_id}

    async def is_deleted(self, tx: Transaction, agent_app_id: UUID) -> bool:
        del tx
        return self.tables.app(agent_app_id).deleted

    async def delete_app(self, tx: Transaction, agent_app_id: UUID, account_id: UUID, at: Any) -> list[UUID]:
        del tx, account_id, at
        self.tables.apps[agent_app_id] = replace(self.tables.app(agent_app_id), deleted=True)
        ends = ("undecided", "held", "processing")
        mine = [row for row in self.tables.queue.values() if row["agent_app_id"] == agent_app_id]
        return [row["deployment_id"] for row in sorted(mine, key=lambda row: row["no"]) if row["status"] in ends]

    async def next_release(self, tx: Transaction, agent_app_id: UUID) -> tuple[int, bool]:
        del tx
        app = self.tables.app(agent_app_id)
        release = app.last_release + 1 if self.tables.numbers_releases else 1
        return release, app.pinned_to is not None and self.tables.looks_at_pins

    async def record_app(self, tx: Transaction, agent_app_id: UUID, now: AppState) -> None:
        del tx
        self.tables.apps[agent_app_id] = replace(
            self.tables.app(agent_app_id), pinned_to=now.pinned_to, stopped_release=now.stopped_release
        )

    def _start(self, event: DeploymentStarted) -> None:
        app = self.tables.app(event.agent_app_id)
        self.tables.apps[event.agent_app_id] = replace(app, last_release=max(app.last_release, event.release))
        self.tables.turns[event.account_id] = event.at

    def _complete(self, event: DeploymentCompleted) -> None:
        app = self.tables.app(event.agent_app_id)
        if app.current_release < event.release:
            self.tables.apps[event.agent_app_id] = replace(
                app,
                current_deployment_id=event.deployment_id,
                current_release=event.release,
                current_no=event.no,
            )


@dataclass(frozen=True)
class MemoryDispatcher(Dispatcher):
    tables: Tables = field(kw_only=True)
    world: World = field(kw_only=True)

    async def choose(self, connection: AsyncConnection, skipped: Sequence[UUID] = ()) -> Waiting | None:
        del connection
        chosen = self.tables.chosen(self.limits.per_account, self.limits.overall, skipped)
        return self._waiting(chosen) if chosen else None

    async def _overtaken(self) -> Sequence[Waiting]:
        return [self._waiting(deployment_id) for deployment_id in self.tables.overtaken()]

    async def give_slot(self, chosen: Waiting, skipped: Sequence[UUID] = ()) -> bool:
        try:
            return await super().give_slot(chosen, skipped)
        except Exception as crash:
            told = f"a slot cannot be given: {type(crash).__name__}: {crash}"
            self.world.must(False, Law.ERROR, told)  # noqa: FBT003 - it does not hold
            raise

    def _waiting(self, deployment_id: UUID) -> Waiting:
        row = self.tables.queue[deployment_id]
        return Waiting(deployment_id, row["agent_app_id"], row["correlation_id"], None)
