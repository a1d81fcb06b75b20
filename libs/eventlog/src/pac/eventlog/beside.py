"""The tables of a projection a second time, made like the live ones, and the moment in which they take their place.

They live in a schema of their own, `<projection>__v2`, under the same names: so indexes and constraints have their
final names from the start, and all that is left of a rebuild that was killed goes with one DROP SCHEMA.
"""

import re
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from pac.eventlog.engine import Driver
from pac.eventlog.readers import Projection

LIVE = "read"
# Constraints and other indexes by their own names; LIKE would make up new ones, which no later migration would find.
INDEXES = """
SELECT c.conname, pg_get_constraintdef(c.oid),
    replace(pg_get_indexdef(i.indexrelid), format(' ON %%I.%%I ', n.nspname, t.relname), format(' ON %%I.%%I ', %s::text, t.relname))
FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
    LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid
WHERE n.nspname = %s AND t.relname = %s ORDER BY i.indexrelid
"""  # noqa: E501 - one expression
# LIKE leaves out who may read it.
GRANTS = """
SELECT format('GRANT %%s ON %%I.%%I TO %%s', g.privilege_type, %s::text, t.relname,
    CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace CROSS JOIN LATERAL aclexplode(t.relacl) AS g
WHERE n.nspname = %s AND t.relname = %s AND g.grantee <> t.relowner
"""


class WritesByHand(RuntimeError):  # noqa: N818 - says what the projection does
    """A projection names its live table in a text of its own, so it cannot be run beside it. Nothing was written."""


@dataclass(frozen=True)
class Beside:
    projection: Projection

    @property
    def schema(self) -> str:
        return f"{self.projection.name}__v2"

    @property
    def reader(self) -> str:
        """Its checkpoint's name."""
        return self.schema

    @property
    def tables(self) -> list[str]:
        for table in self.projection.tables:
            if table.schema != LIVE:
                raise ValueError(f"{table.fullname} of projection {self.projection.name} is not in schema {LIVE}")
        return [table.name for table in self.projection.tables]

    def engine(self, engine: AsyncEngine) -> AsyncEngine:
        """On its connections the projection's tables are those beside the live ones."""
        translated = engine.execution_options(schema_translate_map={LIVE: self.schema})
        names = "|".join(re.escape(name) for name in self.tables)
        by_hand = re.compile(rf'(?<![\w."])"?{LIVE}"?\."?({names})\b')

        def refuse(_: Any, __: Any, statement: str, *___: Any) -> None:
            if by_hand.search(statement):
                raise WritesByHand(f"projection {self.projection.name} names {LIVE}.… in a text")

        event.listen(translated.sync_engine, "before_cursor_execute", refuse)
        return translated

    async def make(self, driver: Driver) -> None:
        """Empty; whatever an earlier rebuild left goes."""
        await self.drop(driver)
        await driver.execute(SQL("CREATE SCHEMA {}").format(Identifier(self.schema)))
        for table in self.tables:
            like = SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES)")
            await driver.execute(like.format(Identifier(self.schema, table), Identifier(LIVE, table)))
            where = (self.schema, LIVE, table)
            for name, constraint, index in await (await driver.execute(INDEXES, where)).fetchall():
                await driver.execute(index.encode() if name is None else self._constraint(table, name, constraint))
            for (grant,) in await (await driver.execute(GRANTS, where)).fetchall():
                await driver.execute(grant.encode())

    async def drop(self, driver: Driver) -> None:
        await driver.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(self.schema)))
        await driver.execute("DELETE FROM log.checkpoints WHERE reader = %s", (self.reader,))

    async def take_over(self, driver: Driver) -> None:
        """Part of a transaction that holds the live checkpoint. Fails on what depends on a live table: a view."""
        live = SQL(", ").join(Identifier(LIVE, table) for table in self.tables)
        await driver.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(live))
        await driver.execute(SQL("DROP TABLE {}").format(live))
        for table in self.tables:
            move = SQL("ALTER TABLE {} SET SCHEMA {}")
            await driver.execute(move.format(Identifier(self.schema, table), Identifier(LIVE)))
        await self.drop(driver)

    def _constraint(self, table: str, name: str, definition: str) -> Composed:
        add = SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(Identifier(self.schema, table), Identifier(name))
        return add + SQL(definition)
