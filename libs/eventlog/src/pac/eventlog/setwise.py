"""Many rows in one statement: sent as one JSON text, which Postgres takes apart by the table's own types.

However many rows and columns, it is one parameter and one plan. A row a statement costs several times as much.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Insert, Table, Text, cast, column, func, literal, select
from sqlalchemy.dialects.postgresql import JSON, insert

Rows = Sequence[Mapping[str, Any]]


def upsert(table: Table, rows: Rows, *, adding: Sequence[str] = ()) -> Insert:
    """Inserts the rows, each with all columns; where the key is known, they replace what is there.

    Columns of `adding` are added to what is there instead. Values as JSON holds them: no NaN, no bytes.
    """
    names = [str(one.name) for one in table.c]  # SQLAlchemy's own kind of text is no key of JSON
    objects = [{name: row[name] for name in names} for row in rows]
    sent = cast(literal(orjson.dumps(objects, default=_exact).decode(), Text), JSON)
    columns = [column(one.name, one.type) for one in table.c]
    given = func.json_to_recordset(sent).table_valued(*columns, name="given").render_derived(with_types=True)
    write = insert(table).from_select(names, select(*given.c))
    keys = [one.name for one in table.primary_key]
    new = {
        one.name: one + write.excluded[one.name] if one.name in adding else write.excluded[one.name]
        for one in table.c
        if one.name not in keys
    }
    return write.on_conflict_do_update(index_elements=keys, set_=new)


def _exact(value: object) -> str:
    """A number of the type `numeric` travels as text: as a number of JSON it would become a fraction of two."""
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
