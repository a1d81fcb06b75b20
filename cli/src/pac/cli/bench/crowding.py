"""Many deployments that ended long ago, in the databases of a running PAC: copies of one that was really made.

Every row that belongs to it, in every service, is copied with ids of its own. The copies stand in the log where the
original stands, behind every reader: nobody tells or projects them again. Balances and figures are moved along. What is
not made anew is the chain of hashes: a law of these logs that is looked at says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from pac.contracts.topics import ServiceName

Connection = psycopg.AsyncConnection[tuple[object, ...]]

COPIED: Mapping[ServiceName, tuple[str, ...]] = {
    ServiceName.GATEWAY: ("log.inbox",),
    ServiceName.PACKAGES: ("log.events", "log.inbox", "state.packages", "state.versions", "state.submissions"),
    ServiceName.DEPLOYMENTS: ("log.events", "log.inbox", "read.deployments"),
    ServiceName.BILLING: ("log.events", "log.inbox", "state.ledger"),
    ServiceName.RUNTIME_NOTIFIER: ("log.events", "log.inbox", "state.deliveries", "state.wires"),
}
# What else must be another one in every copy: column → its value as JSON; `g` counts the copies.
OWN: Mapping[str, Mapping[str, str]] = {
    "state.submissions": {"no": "to_jsonb({last_no} + g)"},
    "read.deployments": {"no": "to_jsonb({last_no} + g)"},
    "state.ledger": {"id": "to_jsonb(md5(r.id::text || g)::uuid)"},
    "state.wires": {"id": "to_jsonb(md5(r.id || g))"},
}
# Once the rows are there; `n` is how many copies were made.
MINUTES = """
UPDATE read.minutes SET completed = completed + {n}, seconds = seconds + {n} * d.duration_seconds
FROM read.deployments AS d WHERE d.id = {deployment} AND minute = date_trunc('minute', d.completed_at)
"""
BALANCES = """
UPDATE state.balances AS b SET available = available - {n} * l.target_amount, spent = spent + {n} * l.target_amount
FROM state.ledger AS l
WHERE l.deployment_id = {deployment} AND l.kind = 'capture' AND b.account_id = l.account_id
"""
AFTERWARDS: Mapping[ServiceName, tuple[str, ...]] = {
    ServiceName.PACKAGES: ("UPDATE state.apps SET no = no + {n} WHERE app_id = {app}",),
    ServiceName.DEPLOYMENTS: (
        "UPDATE read.counts SET deployments = deployments + {n} WHERE status = 'completed'",
        MINUTES,
    ),
    ServiceName.BILLING: (BALANCES,),
}
COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
    AND attidentity = '' ORDER BY attnum
"""
COPY = """
INSERT INTO {table} ({columns}) SELECT {copied} FROM generate_series(1, {n}) AS g
    CROSS JOIN (SELECT * FROM {table} AS t WHERE to_jsonb(t)::text ~ {ids}) AS r
    CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, replace(replace(replace(to_jsonb(r)::text,
        {deployment}, md5({deployment} || g)::uuid::text), {package}, md5({package} || g)::uuid::text),
        {version}, '"9.' || g || '.0"')::jsonb || {own}) AS c
ORDER BY g
"""
SUBMISSION = """
SELECT s.package_id::text, s.version, s.app_id::text, a.no
FROM state.submissions AS s JOIN state.apps AS a USING (app_id) WHERE deployment_id = %s
"""


@dataclass(frozen=True)
class Crowd:
    """`postgres_url`: the superuser's. `deployment` has completed, and another one after it: readers are past it."""

    postgres_url: str
    deployment: UUID

    async def copy(self, times: int) -> None:
        package, version, app, last_no = await self._submission()
        known: dict[str, Composable] = {
            "n": Literal(times),
            "deployment": Literal(str(self.deployment)),
            "package": Literal(package),
            "version": Literal(f'"{version}"'),
            "app": Literal(app),
            "last_no": Literal(last_no),
            "ids": Literal(f"{self.deployment}|{package}"),
        }
        for service, tables in COPIED.items():
            async with await self._connection(service) as connection:
                # Their rows are whole as the original's are: neither foreign keys nor triggers are asked again.
                await connection.execute("SET session_replication_role = replica")
                for table in tables:
                    await self._copy(connection, table, known)
                for statement in AFTERWARDS.get(service, ()):
                    await connection.execute(SQL(statement).format(**known))
                await connection.execute("VACUUM ANALYZE")

    async def _copy(self, connection: Connection, table: str, known: Mapping[str, Composable]) -> None:
        found = await (await connection.execute(COLUMNS, (table,))).fetchall()
        columns = [str(name) for (name,) in found]
        own = [
            SQL("{}, {}").format(Literal(name), SQL(value).format(**known))
            for name, value in OWN.get(table, {}).items()
        ]
        await connection.execute(
            SQL(COPY).format(
                **known,
                table=Identifier(*table.split(".")),
                columns=SQL(", ").join(map(Identifier, columns)),
                copied=SQL(", ").join(Identifier("c", name) for name in columns),
                own=SQL("jsonb_build_object({})").format(SQL(", ").join(own)),
            )
        )

    async def _submission(self) -> tuple[str, str, str, int]:
        async with await self._connection(ServiceName.PACKAGES) as connection:
            found = await (await connection.execute(SUBMISSION, (self.deployment,))).fetchone()
            assert found is not None
            package, version, app, last_no = found
            return str(package), str(version), str(app), int(str(last_no))

    async def _connection(self, service: ServiceName) -> Connection:
        url = f"{self.postgres_url.rpartition('/')[0]}/{service.module}"
        return await psycopg.AsyncConnection.connect(url, autocommit=True)
