"""What the log says of an app's secrets: which names changed, and the how-manieth change it was. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pac.contracts.runtime_notifier import SecretsChanged
from pac.eventlog.types import Decider


@dataclass(frozen=True)
class Changes:
    """`version` counts them: it is the version of the stream, too."""

    version: int = 0


@dataclass(frozen=True)
class ChangeSecrets:
    """`names` of those that got another value, or have none any more. `redeploys`: see the event."""

    account_id: UUID
    agent_app_id: UUID
    names: frozenset[str]
    at: datetime
    redeploys: bool = False


def decide(now: Changes, command: ChangeSecrets) -> Sequence[SecretsChanged]:
    if not command.names:
        return []
    return [
        SecretsChanged(
            account_id=command.account_id,
            at=command.at,
            agent_app_id=command.agent_app_id,
            names=tuple(sorted(command.names)),
            secrets_version=now.version + 1,
            redeploys=command.redeploys,
        )
    ]


def evolve(now: Changes, event: SecretsChanged) -> Changes:
    del now
    return Changes(event.secrets_version)


SECRETS: Decider[Changes, ChangeSecrets, SecretsChanged] = Decider("secrets", Changes(), decide, evolve)
