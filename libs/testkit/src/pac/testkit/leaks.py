"""Looks through everything that a PAC of `pac up` keeps or shows for texts that may be nowhere.

Every row of every database, every record of every topic (dead letters too), log files, spans, what a supervisor and a
runtime keep in files, stored objects, figures and health. A text is looked for as it is, in hex (as a row shows bytes)
and in base64.
"""

import base64
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from aiohttp import ClientSession
from psycopg.sql import SQL, Identifier

from pac.servicekit.objects import Objects
from pac.testkit.kafka import admin_of, records_of
from pac.testkit.pac_up import Pac
from pac.testkit.whole import World, keys_in

BATCH_ROWS = 1000
OBJECT_MAX_BYTES = 64 * 1_048_576
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
TABLES = """
SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""
WRITTEN_BY_A_RUNTIME = ("logs", "agents")


class Piece(NamedTuple):
    """Something that was kept or shown: where, and its bytes."""

    where: str
    content: bytes


@dataclass(frozen=True)
class Needles:
    """The texts, in all their forms."""

    pattern: re.Pattern[bytes]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Needles":
        forms = sorted({form for text in texts for form in forms_of(text)}, key=len, reverse=True)
        return cls(re.compile(b"|".join(map(re.escape, forms))))

    def found_in(self, content: bytes) -> bool:
        return self.pattern.search(content) is not None


def forms_of(text: str) -> set[bytes]:
    """In base64 the letters at both ends depend on what stands beside: the middle is looked for, in all its forms."""
    raw = text.encode()
    shifted = {base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in range(3)}
    return {raw, raw.hex().encode(), *(form for form in shifted if len(form) >= 8)}


async def found(pac: Pac, texts: Iterable[str]) -> set[str]:
    """Where any of the texts is, each place once."""
    needles = Needles.of(texts)
    return {piece.where async for piece in everything(pac) if needles.found_in(piece.content)}


async def everything(pac: Pac) -> AsyncIterator[Piece]:
    for pieces in (_rows(pac), _records(pac), _figures(pac), _objects(pac)):
        async for piece in pieces:
            yield piece
    for path in files_of(pac):
        yield Piece(f"file {path.name}", path.read_bytes())


def files_of(pac: Pac) -> list[Path]:
    """Logs, spans, files of the supervisor and of the local runtime; not the servers' data, which is read above."""
    own = [path for path in pac.state_dir.iterdir() if path.is_file()]
    logs = [path for path in (pac.state_dir / "logs").rglob("*") if path.is_file()]
    folders = [runtime_folder(pac) / name for name in WRITTEN_BY_A_RUNTIME]
    runtime = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    traces = [] if pac.traces_file is None else [pac.traces_file]
    return [*own, *logs, *traces, *runtime]


def runtime_folder(pac: Pac) -> Path:
    from pac.cli.local.runtime_home import runtime_home  # noqa: PLC0415 - what `pac up` itself asks
    from pac.cli.local.state import StateFolder  # noqa: PLC0415

    return runtime_home(StateFolder(pac.state_dir))


async def _rows(pac: Pac) -> AsyncIterator[Piece]:
    url = urlsplit(str(pac.status["postgres_url"]))
    async with await psycopg.AsyncConnection.connect(url.geturl(), autocommit=True) as connection:
        names = [name for (name,) in await (await connection.execute(DATABASES)).fetchall()]
    for name in names:
        in_it = url._replace(path=f"/{name}").geturl()
        async with await psycopg.AsyncConnection.connect(in_it, autocommit=True) as connection:
            tables = await (await connection.execute(TABLES.encode())).fetchall()
            for schema, table in tables:
                statement = SQL("SELECT t::text FROM {} t").format(Identifier(schema, table))
                cursor = connection.cursor()
                await cursor.execute(statement)
                while rows := await cursor.fetchmany(BATCH_ROWS):
                    yield Piece(f"table {name}.{schema}.{table}", "\n".join(row for (row,) in rows).encode())


async def _records(pac: Pac) -> AsyncIterator[Piece]:
    servers = str(pac.status["kafka_servers"])
    async with admin_of(servers) as admin:
        topics = sorted(await admin.list_topics())
    for topic in topics:
        for record in await records_of(servers, topic):
            parts = [record.key, record.value, *(part for _, part in record.headers)]
            yield Piece(f"topic {topic}", b"\n".join(part for part in parts if part))


async def _figures(pac: Pac) -> AsyncIterator[Piece]:
    async with ClientSession() as http:
        for process, url in dict(pac.status["admin_urls"]).items():
            for path in ("/metrics", "/healthz?verbose"):
                async with http.get(url + path) as answer:
                    yield Piece(f"{process}{path}", await answer.read())


async def _objects(pac: Pac) -> AsyncIterator[Piece]:
    async with Objects(World.of(pac.status).bucket) as objects:
        for key in sorted(await keys_in(objects)):
            content = await objects.get_bytes(key, max_bytes=OBJECT_MAX_BYTES)
            yield Piece(f"object {key}", key.encode() + b"\n" + content)
