"""`pac secrets rekey` as an operator calls it, on a database that the environment names."""

import base64
import json
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.topics import ServiceName
from pac.eventlog import Cause, EventLog
from pac.runtime_notifier.secrets.envelope import KeyRing, kek_id
from pac.runtime_notifier.secrets.vault import Owner, Saved, Vault
from pac.testkit.pac_up import Finished, command
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


async def stored(log: EventLog, key: str) -> UUID:
    """An app with a secret, its data key wrapped by `key`."""

    async def keep(_connection: AsyncConnection, _saved: Saved) -> None:
        """Nobody asked with a key."""

    owner, values = Owner(uuid4(), uuid4()), {"A": SecretStr("hunter22")}
    vault = Vault(log, KeyRing.from_base64(key))
    await vault.change(owner, lambda _: values, cause=Cause("key-1", uuid4()), at=NOON, then=keep)
    return owner.app_id


async def rekey(database: Database, key: str, retired: str = "") -> Finished:
    environment = {
        "RUNTIME_NOTIFIER_DATABASE_URL": database.url,
        "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY": key,
        "RUNTIME_NOTIFIER_KEY_ENCRYPTION_RETIRED_KEYS": retired,
    }
    return await command("secrets", "rekey", "-o", "json", environment=environment)


def told(said: Finished, code: int = 0) -> Any:
    assert said.code == code, said
    return json.loads(said.out)


async def test_every_data_key_is_wrapped_by_the_newest(database_of: DatabaseOf, event_log_of: EventLogOf) -> None:
    database = await database_of("pac.runtime_notifier")
    log = await event_log_of(ServiceName.RUNTIME_NOTIFIER, database=database)
    old, new = new_key(), new_key()
    apps = [await stored(log, old) for _ in range(3)]
    done = told(await rekey(database, new, old))
    assert done == {"key_id": kek_id(base64.b64decode(new)), "rewrapped": 3, "resealed": 0, "unreadable": []}
    assert told(await rekey(database, new, old))["rewrapped"] == 0
    for app in apps:
        values = await Vault(log, KeyRing.from_base64(new)).values_of(app)
        assert values["A"].get_secret_value() == "hunter22"


async def test_a_key_that_is_missing_is_named_and_the_others_are_done(
    database_of: DatabaseOf, event_log_of: EventLogOf
) -> None:
    database = await database_of("pac.runtime_notifier")
    log = await event_log_of(ServiceName.RUNTIME_NOTIFIER, database=database)
    old, older, new = new_key(), new_key(), new_key()
    await stored(log, old)
    lost = await stored(log, older)
    said = await rekey(database, new, old)
    assert told(said, code=1)["rewrapped"] == 1
    assert f"the secrets of app {lost} are wrapped by the key {kek_id(base64.b64decode(older))}" in said.err
    assert "RUNTIME_NOTIFIER_KEY_ENCRYPTION_RETIRED_KEYS" in said.err
    assert told(await rekey(database, new, f"{old},{older}"))["rewrapped"] == 1
