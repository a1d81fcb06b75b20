"""Who may sign an app's packages, on `signers-<app>`: only which keys, by fingerprint. The keys name people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pac.contracts.packages import SigningKeysChanged
from pac.eventlog.types import Decider


@dataclass(frozen=True)
class Signers:
    fingerprints: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ReplaceSigners:
    agent_app_id: UUID
    account_id: UUID
    fingerprints: frozenset[str]
    at: datetime


def decide_signers(now: Signers, command: ReplaceSigners) -> Sequence[SigningKeysChanged]:
    if command.fingerprints == now.fingerprints:
        return []  # a key may have got another expiry: it is the same key
    return [
        SigningKeysChanged(
            account_id=command.account_id,
            at=command.at,
            agent_app_id=command.agent_app_id,
            fingerprints=tuple(sorted(command.fingerprints)),
        )
    ]


def evolve_signers(_now: Signers, event: SigningKeysChanged) -> Signers:
    return Signers(frozenset(event.fingerprints))


SIGNERS: Decider[Signers, ReplaceSigners, SigningKeysChanged] = Decider(
    "signers", Signers(), decide_signers, evolve_signers
)
