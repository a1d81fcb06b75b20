"""Are the tables of two schemas the same, row by row? Only reads; both sides are seen in the caller's snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Literal

from pac.eventlog.engine import Driver

EXAMPLES_MAX = 20
SHOWN_MAX_CHARACTERS = 60
COLUMNS = """
SELECT a.attname, t.typname, a.attnum = ANY (i.indkey)
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
FRACTIONS = frozenset({"float4", "float8"})
# A sum of fractions depends on their order, hence on how the log was cut into batches.
TOLERANCE = Literal(1e-9)


@dataclass(frozen=True)
class Difference:
    """One row. A side without such a row is None; else it holds the columns that differ."""

    table: str
    key: Mapping[str, Any]
    live: Mapping[str, Any] | None
    replayed: Mapping[str, Any] | None

    def __str__(self) -> str:
        row = f"{self.table} {', '.join(f'{name}={value}' for name, value in self.key.items())}"
        if self.live is None:
            return f"{row}: missing, a replay has it"
        if self.replayed is None:
            return f"{row}: not in a replay"
        columns = ((name, self.live[name], self.replayed.get(name)) for name in self.live)
        return f"{row}: " + ", ".join(f"{name} is {_shown(a)}, a replay has {_shown(b)}" for name, a, b in columns)


@dataclass(frozen=True)
class Compared:
    """`rows` of the live table; `differing` rows of either side, some of them as examples."""

    table: str
    rows: int
    differing: int
    examples: tuple[Difference, ...]


async def compare(driver: Driver, table: str, *, live: str, replayed: str) -> Compared:
    """By primary key, every column. Numbers with a fraction may differ by a billionth."""
    columns = await (await driver.execute(COLUMNS, (live, table))).fetchall()
    keys = [name for name, _, is_key in columns if is_key]
    if not keys:
        raise ValueError(f"{live}.{table} has no primary key: its rows cannot be told apart")
    others = {name: kind for name, kind, is_key in columns if not is_key}
    sides = Identifier(live, table), Identifier(replayed, table)
    counted = await (await driver.execute(SQL("SELECT count(*) FROM {}").format(sides[0]))).fetchone()
    found = await (await driver.execute(_differences(*sides, keys, others))).fetchall()
    examples = tuple(_difference(f"{live}.{table}", row) for row in found)
    return Compared(f"{live}.{table}", counted[0] if counted else 0, found[0][5] if found else 0, examples)


def _differences(live: Identifier, replayed: Identifier, keys: list[str], others: dict[str, str]) -> Composed:
    differs = {name: _differs(name, kind) for name, kind in others.items()}
    names = [SQL("CASE WHEN {} THEN {} END").format(test, Literal(name)) for name, test in differs.items()]
    missing = [SQL("l.{key} IS NULL OR r.{key} IS NULL").format(key=Identifier(keys[0]))]
    return SQL("""
        SELECT jsonb_build_object({key}), array_remove(ARRAY[{names}]::text[], NULL),
            l.{first} IS NULL, to_jsonb(l), to_jsonb(r), count(*) OVER ()
        FROM {live} AS l FULL JOIN {replayed} AS r USING ({keys}) WHERE {differ} ORDER BY {keys} LIMIT {limit}
    """).format(
        key=SQL(", ").join(SQL("{}, {}").format(Literal(name), Identifier(name)) for name in keys),
        names=SQL(", ").join(names),
        first=Identifier(keys[0]),
        live=live,
        replayed=replayed,
        keys=SQL(", ").join(map(Identifier, keys)),
        differ=SQL(" OR ").join([*missing, *differs.values()]),
        limit=Literal(EXAMPLES_MAX),
    )


def _differs(name: str, kind: str) -> Composed:
    column = Identifier(name)
    match kind:
        case "json":  # has no equality of its own
            return SQL("l.{0}::jsonb IS DISTINCT FROM r.{0}::jsonb").format(column)
        case _ if kind in FRACTIONS:
            return SQL(
                "(l.{0} IS DISTINCT FROM r.{0} AND NOT coalesce("
                "abs(l.{0} - r.{0}) <= {1} * greatest(abs(l.{0}), abs(r.{0}), 1), false))"
            ).format(column, TOLERANCE)
        case _:
            return SQL("l.{0} IS DISTINCT FROM r.{0}").format(column)


def _difference(table: str, row: tuple[Any, ...]) -> Difference:
    key, names, is_missing, live, replayed, _ = row
    if is_missing or replayed is None:
        return Difference(table, key, None if is_missing else {}, {} if is_missing else None)
    return Difference(table, key, {name: live[name] for name in names}, {name: replayed[name] for name in names})


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_MAX_CHARACTERS else f"{text[:SHOWN_MAX_CHARACTERS]}…"
