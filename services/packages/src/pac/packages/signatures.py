"""What the signature of a package is worth: by the app's policy, and by the keys that may sign it now."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from pac.contracts.bodies.packages import Verdict
from pac.contracts.identity import AppClaim
from pac.contracts.packages import Problem
from pac.eventlog import EventLog
from pac.packages.checker import TOO_EXPENSIVE, Checker
from pac.packages.faults import faulty
from pac.packages.shelf import Shelf
from pac.packages.signature_faults import signature_fault


@dataclass(frozen=True)
class Judged:
    """`signed_by` is the registered key's fingerprint, `signing_key` that of what of it has signed."""

    verdict: Verdict = "none"
    signed_by: str | None = None
    signing_key: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Signatures:
    log: EventLog
    checker: Checker

    async def judge(self, signature: bytes | None, path: Path | None, app: AppClaim) -> Judged:
        """`path`: the package's bytes. A signature that nobody could verify counts only where none is required."""
        if app.signature_policy == "off":
            return Judged("none" if signature is None else "ignored")
        required = app.signature_policy == "required"
        if signature is None:
            return Judged(problems=(signature_fault("missing"),) if required else ())
        if path is None:
            return Judged("unverified")
        async with self.log.reading() as connection:
            keys = await Shelf(connection, app.id).signing_keys()
        answer = await self._asked(signature, path, [key.certificate for key in keys])
        if answer is not None and answer.get("fault") == "unknown_key" and not keys:
            return Judged("unverified", problems=(signature_fault("no_keys"),) if required else ())
        return _judged(answer)

    async def _asked(self, signature: bytes, path: Path, certificates: list[bytes]) -> dict[str, Any] | None:
        return await self.checker.ask(
            {
                "kind": "signature",
                "path": str(path),
                "signature": base64.b64encode(signature).decode(),
                "certificates": [base64.b64encode(one).decode() for one in certificates],
            }
        )


def _judged(answer: dict[str, Any] | None) -> Judged:
    if answer is None:
        return Judged("unverified", problems=(TOO_EXPENSIVE,))
    if "fault" in answer:
        return Judged("unverified", problems=(signature_fault(answer["fault"], answer["key_id"]),))
    return Judged("verified", answer["signed_by"], answer["by"])


async def check_signed(shelf: Shelf, package: Row[Any], policy: str) -> None:
    """Of a package that is here already. Refused (400) where one is required, and no key of today has signed it."""
    if policy == "required" and not await shelf.is_signer(package.signed_by):
        raise faulty([signature_fault("not_verified")])
