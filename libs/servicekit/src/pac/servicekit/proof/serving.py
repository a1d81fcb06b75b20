"""A service's part of a proof, for the gateway: its stream of the deployment, read and signed at one position."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from aiohttp import hdrs, web
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import iso
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog, unavailable
from pac.eventlog.engine import driver_of
from pac.eventlog.record import canonical
from pac.servicekit.answers import reply
from pac.servicekit.http import Route
from pac.servicekit.proof.form import ALGORITHM, GENESIS, KEYS_PATH, PATH, key_id, stream_of
from pac.servicekit.proof.signing import ProofSigner
from pac.servicekit.requests import caller_of, uuid_in
from pac.servicekit.settings import ServiceSettings

EVENTS = """
SELECT version, type, data::text, metadata::text, at, hash FROM log.events WHERE stream = %s ORDER BY version
"""

Row = tuple[Any, ...]
Ledger = Callable[[AsyncConnection, UUID], Awaitable[list[dict[str, Any]]]]


@dataclass(frozen=True)
class Proofs:
    """`ledger`: what else the statement says, read in the events' own snapshot; billing alone has one."""

    log: EventLog
    signer: ProofSigner | None
    retired: Sequence[bytes] = ()
    ledger: Ledger | None = None

    @classmethod
    def of(cls, log: EventLog, settings: ServiceSettings, ledger: Ledger | None = None) -> "Proofs":
        seed, retired = settings.proof_key, settings.proof_retired_public_keys or ""
        signer = None if seed is None else ProofSigner.from_base64(seed.get_secret_value())
        return cls(log, signer, [base64.b64decode(key) for key in retired.split(",") if key], ledger)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(hdrs.METH_GET, PATH, self.get_part, internal=True),
            Route(hdrs.METH_GET, KEYS_PATH, self.get_keys, internal=True),
        )

    async def get_part(self, request: web.Request) -> web.Response:
        """404 for another account's deployment; of one that nothing is known of: that there is nothing."""
        caller, deployment_id = caller_of(request), uuid_in(request, "deployment_id")
        if self.signer is None:
            raise Refused(ErrorCode.UNAVAILABLE, "This service has no key to sign proofs with")
        stream = stream_of(self.log.service, deployment_id)
        async with self._snapshot() as connection:
            rows = await (await (await driver_of(connection)).execute(EVENTS, (stream,))).fetchall()
            ledger = await self.ledger(connection, deployment_id) if self.ledger is not None else None
        events = [_event(stream, row) for row in rows]
        if caller.account_id is None or any(event["data"]["account_id"] != str(caller.account_id) for event in events):
            raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
        statement: dict[str, Any] = {
            "account_id": str(caller.account_id),
            "deployment_id": str(deployment_id),
            "service": self.log.service.value,
            "stream": stream,
            "version": len(events),
            "hash": events[-1]["hash"] if events else GENESIS,
            "signed_at": iso(datetime.now(UTC)),
        }
        if ledger is not None:
            statement["ledger"] = ledger
        return reply({**self.signer.signed(statement), "events": events})

    async def get_keys(self, _request: web.Request) -> web.Response:
        """The key in use first; then those that older proofs are signed with."""
        current = [] if self.signer is None else [self.signer.public_key]
        keys = [
            {
                "service": self.log.service.value,
                "id": key_id(key),
                "algorithm": ALGORITHM,
                "public_key": key.hex(),
                "retired": key in self.retired,
            }
            for key in (*current, *self.retired)
        ]
        return reply({"keys": keys})

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncConnection]:
        with unavailable("the log"):
            async with self.log.engine.connect() as connection:
                yield await connection.execution_options(isolation_level="REPEATABLE READ")
                await connection.rollback()


def _event(stream: str, row: Row) -> dict[str, Any]:
    """As the row of the log has it, and beside it the text that its hash is of."""
    version, type_, data, metadata, at, digest = row
    facts, because = orjson.loads(data), orjson.loads(metadata)
    text = canonical(stream=stream, version=version, type_=type_, data=facts, metadata=because, at=at)
    return {
        "version": version,
        "type": type_,
        "at": iso(at),
        "data": facts,
        "metadata": because,
        "canonical": text.decode(),
        "hash": bytes(digest).hex(),
    }
