"""The keys that may sign an app's packages, over HTTP. What is in a key is read by a worker process (openpgp.py)."""

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from aiohttp import web
from sqlalchemy import Row

from pac.contracts.bodies.packages import (
    SigningKeysChange,
    SigningKeysDeletedReply,
    SigningKeysReply,
    SigningKeyView,
)
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.packages import Problem
from pac.eventlog import EventLog
from pac.packages.checker import TOO_EXPENSIVE, Checker
from pac.packages.described import dumped
from pac.packages.domain.signers import SIGNERS, ReplaceSigners
from pac.packages.shelf import Shelf, app_lock
from pac.packages.signature_faults import signing_key_fault
from pac.servicekit.clock import Clock
from pac.servicekit.http import account_and_app, body_in, cause_of, reply

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SigningKeys:
    log: EventLog
    checker: Checker
    clock: Clock

    async def get(self, request: web.Request) -> web.Response:
        _, app_id = account_and_app(request)
        return reply(await self._shown(app_id))

    async def put(self, request: web.Request) -> web.Response:
        """These and no others from now on. Refused (400) with every key that cannot be taken, and why."""
        account_id, app_id = account_and_app(request)
        asked = await body_in(request, SigningKeysChange)
        told = await self.checker.ask({"kind": "keys", "texts": asked.keys})
        if told is None:
            raise _refused([TOO_EXPENSIVE])
        found: Sequence[Mapping[str, Any]] = told["keys"]
        if faults := list(_faults(found)):
            raise _refused(faults)
        await self._replace(request, account_id, app_id, found)
        return reply(await self._shown(app_id))

    async def delete(self, request: web.Request) -> web.Response:
        account_id, app_id = account_and_app(request)
        await self._replace(request, account_id, app_id, [])
        return reply(SigningKeysDeletedReply())

    async def _replace(
        self, request: web.Request, account_id: UUID, app_id: UUID, found: Sequence[Mapping[str, Any]]
    ) -> None:
        at = self.clock()
        fingerprints = frozenset(str(key["fingerprint"]) for key in found)
        stream = SIGNERS.stream(app_id)
        async with self.log.transaction(stream, cause=cause_of(request), locks=[app_lock(app_id)]) as tx:
            shelf = Shelf(tx.connection, app_id)
            if await shelf.is_deleted():
                raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")
            await shelf.put_signing_keys([_row(key, account_id, at) for key in found])
            await tx.decide(SIGNERS, app_id, ReplaceSigners(app_id, account_id, fingerprints, at))
        logger.info("signing_keys_replaced", app_id=str(app_id), count=len(found))

    async def _shown(self, app_id: UUID) -> SigningKeysReply:
        async with self.log.reading() as connection:
            rows = await Shelf(connection, app_id).signing_keys()
        return SigningKeysReply(keys=tuple(map(_view, rows)))


def _faults(found: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    times = Counter(key.get("fingerprint") for key in found)
    for number, key in enumerate(found):
        if (fault := key.get("fault")) is not None:
            yield signing_key_fault(fault, f"keys.{number}")
        elif times[key["fingerprint"]] > 1:
            yield signing_key_fault("repeated", f"keys.{number}")


def _refused(faults: Sequence[Problem]) -> Refused:
    details = [f"{fault.entry}: {fault.message}" if fault.entry else fault.message for fault in faults]
    return Refused(ErrorCode.INVALID_REQUEST, details=details, problems=[dumped(fault) for fault in faults])


def _row(key: Mapping[str, Any], account_id: UUID, at: datetime) -> dict[str, Any]:
    return {
        "fingerprint": key["fingerprint"],
        "account_id": account_id,
        "certificate": base64.b64decode(key["certificate"]),
        "user_ids": key["user_ids"],
        "created_at": datetime.fromisoformat(key["created_at"]),
        "expires_at": datetime.fromisoformat(key["expires_at"]) if key["expires_at"] else None,
        "signing": key["signing"],
        "added_at": at,
    }


def _view(row: Row[Any]) -> SigningKeyView:
    return SigningKeyView.model_validate(row, from_attributes=True)
