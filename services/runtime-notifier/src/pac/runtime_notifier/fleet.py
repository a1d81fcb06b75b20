"""Loads an app as the rules of `running.py` see it, saves what they changed, and queues what they ask for.

Always inside a transaction that holds the app's lock: two decisions about one app never cross.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from pac.eventlog import Cause, Jobs, Transaction
from pac.runtime_notifier.errands import Because, Errand, Facts
from pac.runtime_notifier.running import App, Delivery, Give, Stop, Wire, WireStatus
from pac.runtime_notifier.tables import APPS, DELIVERIES, WIRES

FIRST_WAIT_SECONDS = 5.0  # before what failed to be given again is given once more; doubles each time
LONGEST_WAIT_SECONDS = 600.0
LIVE = (WireStatus.PENDING.value, WireStatus.HEALTHY.value)


def lock_of(app_id: UUID) -> Sequence[str]:
    return (f"running-{app_id}",)


@dataclass(frozen=True)
class Fleet:
    """`again_seconds`: how long something that is given again has to become healthy."""

    jobs: Jobs
    again_seconds: float

    async def load(self, tx: Transaction, app_id: UUID, *deployments: UUID) -> App:
        """The app with its live wires, its open deliveries, its current one, and those of `deployments`."""
        row = (await tx.execute(select(APPS).where(APPS.c.app_id == app_id))).one_or_none()
        if row is None:
            return App()
        wires = await self._wires(tx, app_id, row.serving, deployments)
        wanted = {*deployments, *(wire.deployment_id for wire in wires.values())}
        if row.current is not None:
            wanted.add(row.current)
        deliveries = await self._deliveries(tx, app_id, wanted)
        return App(
            row.is_known,
            row.is_deleted,
            row.current,
            row.current_release,
            row.stopped_release,
            row.serving,
            row.runtime,
            deliveries,
            wires,
        )

    async def _wires(
        self, tx: Transaction, app_id: UUID, serving: str | None, deployments: Sequence[UUID]
    ) -> dict[str, Wire]:
        columns = WIRES.c
        wanted = or_(columns.status.in_(LIVE), columns.id == serving, columns.deployment_id.in_(deployments))
        rows = await tx.execute(
            select(columns.id, columns.deployment_id, columns.attempt, columns.status, columns.runtime).where(
                columns.app_id == app_id, wanted
            )
        )
        return {
            row.id: Wire(row.id, row.deployment_id, row.attempt, WireStatus(row.status), row.runtime) for row in rows
        }

    async def _deliveries(self, tx: Transaction, app_id: UUID, wanted: set[UUID]) -> dict[UUID, Delivery]:
        columns = DELIVERIES.c
        is_open = ~columns.closed & ~columns.done
        rows = await tx.execute(
            select(DELIVERIES).where(columns.app_id == app_id, or_(is_open, columns.deployment_id.in_(wanted)))
        )
        return {
            row.deployment_id: Delivery(
                row.deployment_id,
                row.release,
                row.attempt,
                row.closed,
                row.done,
                row.ready,
                row.given_again,
                row.misses,
            )
            for row in rows
        }

    async def facts(self, tx: Transaction, deployment_id: UUID) -> Facts:
        statement = select(DELIVERIES.c.facts).where(DELIVERIES.c.deployment_id == deployment_id)
        return Facts.model_validate((await tx.execute(statement)).scalar_one())

    async def mark_orphan(self, tx: Transaction, app_id: UUID) -> None:
        await tx.execute(APPS.update().where(APPS.c.app_id == app_id).values(is_orphan=True))

    async def look_later(self, tx: Transaction, errand: Errand, after_seconds: float) -> None:
        look = errand.model_copy(update={"kind": "look"})
        run_at = datetime.now(UTC) + timedelta(seconds=after_seconds)
        await self.jobs.put(tx, look.key, look.payload(), run_at=run_at)

    async def save(
        self,
        tx: Transaction,
        app_id: UUID,
        before: App,
        after: App,
        *,
        cause: Cause,
        facts: Mapping[UUID, Facts] | None = None,
        due_at: datetime | None = None,
    ) -> None:
        """`facts` for deliveries that are new; `due_at` of the attempt that is started."""
        await self._save_app(tx, app_id, before, after)
        for delivery in after.deliveries.values():
            known = before.deliveries.get(delivery.deployment_id)
            if known is None:
                await self._add_delivery(tx, app_id, delivery, (facts or {})[delivery.deployment_id])
            elif delivery != known:
                await self._save_delivery(tx, delivery)
        for wire in after.wires.values():
            if wire != before.wires.get(wire.id):
                await self._save_wire(tx, app_id, wire)
        for wish in after.asked:
            await self._queue(tx, app_id, wish, Because.of(cause), due_at)

    async def _save_app(self, tx: Transaction, app_id: UUID, before: App, after: App) -> None:
        row: dict[str, object] = {
            "is_known": after.is_known,
            "is_deleted": after.is_deleted,
            "current": after.current,
            "current_release": after.current_release,
            "stopped_release": after.stopped_release,
            "serving": after.serving,
            "runtime": after.runtime,
        }
        if after.serving != before.serving:
            row["is_orphan"] = False
        statement = insert(APPS).values({"app_id": app_id, "is_orphan": False, **row})
        await tx.execute(statement.on_conflict_do_update(index_elements=[APPS.c.app_id], set_=row))

    async def _add_delivery(self, tx: Transaction, app_id: UUID, delivery: Delivery, facts: Facts) -> None:
        row = {"app_id": app_id, "facts": facts.model_dump(mode="json"), **asdict(delivery)}
        await tx.execute(insert(DELIVERIES).values(row))

    async def _save_delivery(self, tx: Transaction, delivery: Delivery) -> None:
        row = DELIVERIES.update().where(DELIVERIES.c.deployment_id == delivery.deployment_id)
        await tx.execute(row.values(asdict(delivery)))

    async def _save_wire(self, tx: Transaction, app_id: UUID, wire: Wire) -> None:
        row = {
            "id": wire.id,
            "app_id": app_id,
            "deployment_id": wire.deployment_id,
            "attempt": wire.attempt,
            "status": wire.status.value,
            "runtime": wire.runtime,
        }
        statement = insert(WIRES).values(row)
        await tx.execute(
            statement.on_conflict_do_update(index_elements=[WIRES.c.id], set_={"status": wire.status.value})
        )

    async def _queue(
        self, tx: Transaction, app_id: UUID, wish: Give | Stop, because: Because, due_at: datetime | None
    ) -> None:
        now = datetime.now(UTC)
        match wish:
            case Give(wire_id=wire_id, deployment_id=deployment_id, misses=misses, runtime=runtime):
                wait_seconds = min(FIRST_WAIT_SECONDS * 2 ** (misses - 1), LONGEST_WAIT_SECONDS) if misses else 0.0
                run_at = now + timedelta(seconds=wait_seconds)
                errand = Errand(
                    kind="give",
                    app_id=app_id,
                    deployment_id=deployment_id,
                    wire_id=wire_id,
                    because=because,
                    due_at=due_at or run_at + timedelta(seconds=self.again_seconds),
                    runtime=runtime,
                )
                await self.jobs.put(tx, errand.key, errand.payload(), run_at=run_at)
            case Stop(wire_id=wire_id, deployment_id=deployment_id, runtime=runtime):
                errand = Errand(
                    kind="stop",
                    app_id=app_id,
                    deployment_id=deployment_id,
                    wire_id=wire_id,
                    because=because,
                    runtime=runtime,
                )
                # One that is on its way may have asked the runtime before it was given anything: it begins anew.
                await self.jobs.put(tx, errand.key, errand.payload(), replace=True)
