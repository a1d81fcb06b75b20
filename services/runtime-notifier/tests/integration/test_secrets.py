"""Stored secrets over HTTP, on a real Postgres: the shapes of the real client, versions, and what is never shown."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pac.contracts.bodies.secrets import ALL_VALUES_MAX_BYTES, VALUE_MAX_BYTES
from pac.contracts.runtime_notifier import SecretsChanged
from pac.eventlog import Cause
from pac.runtime_notifier.environments import EnvironmentLost
from pac.runtime_notifier.secrets.book import KEPT_VERSIONS
from pac.runtime_notifier.secrets.envelope import DataKey
from pac.runtime_notifier.secrets.laws import secrets_are_as_said
from pac.runtime_notifier.secrets.rekey import BATCH, Rekeying
from pac.runtime_notifier.secrets.vault import Vault
from pac.testkit.notifier import new_ring

if TYPE_CHECKING:
    from conftest import Served

CANARY = "hunter22-hunter22"
OPERATOR = Cause("operator", uuid4())


async def values(served: "Served", app: UUID) -> dict[str, str]:
    status, body = await served.secrets("GET", app)
    assert status == 200, body
    return dict(body["secrets"])


async def changes(served: "Served", app: UUID) -> list[SecretsChanged]:
    told = [one.event for one in await served.notifier.log.history(f"secrets-{app}")]
    return [cast("SecretsChanged", one) for one in told]


# ---- the real client's shapes ----------------------------------------------------------------------------------------


async def test_set_replaces_all_of_them(served: "Served") -> None:
    app = uuid4()
    status, body = await served.secrets("POST", app, json={"secrets": {"A": "1", "B": "two"}})
    assert (status, body) == (200, {"success": True, "secretCount": 2, "version": 1})
    assert await values(served, app) == {"A": "1", "B": "two"}
    await served.secrets("POST", app, json={"secrets": {"B": "two", "C": ""}})
    assert await values(served, app) == {"B": "two", "C": ""}
    assert [(one.names, one.secrets_version) for one in await changes(served, app)] == [
        (("A", "B"), 1),
        (("A", "C"), 2),
    ]


async def test_update_and_delete_leave_the_others(served: "Served") -> None:
    app = uuid4()
    await served.secrets("POST", app, json={"secrets": {"A": "1", "B": "two"}})
    status, body = await served.secrets("PUT", app, "/B", json={"value": "three"})
    assert (status, body) == (200, {"success": True, "key": "B", "version": 2})
    assert await values(served, app) == {"A": "1", "B": "three"}
    status, body = await served.secrets("DELETE", app, "/A")
    assert (status, body) == (200, {"success": True, "key": "A", "version": 3})
    status, body = await served.secrets("DELETE", app, "/A")
    assert (status, body["error"], body["code"]) == (404, "Secret not found", "not_found")
    status, body = await served.secrets("DELETE", app)
    assert (status, body) == (200, {"success": True, "version": 4})
    assert await values(served, app) == {}
    assert (await served.secrets("DELETE", app))[1] == {"success": True, "version": 4}  # there was nothing left


async def test_what_is_so_already_is_no_change(served: "Served") -> None:
    app = uuid4()
    assert await served.put(app, "A", "1") == 1
    assert await served.put(app, "A", "1") == 1
    assert len(await changes(served, app)) == 1


async def test_a_masked_list_has_names_and_no_value(served: "Served") -> None:
    app = uuid4()
    await served.put(app, "A", CANARY)
    _, body = await served.secrets("GET", app, "?masked=true")
    assert body["secrets"] == {"A": "***"}
    [key] = body["keys"]
    assert (key["key"], key["version"], key["set_by"]) == ("A", 1, "key-8e8f2f9b-14c7-4d6e-b1d3-52a9f0c7e312")


@pytest.mark.parametrize(
    ("path", "method", "body", "said"),
    [
        ("", "POST", {"secrets": {"lower": CANARY}}, "secrets: Names have 1 to 128 characters out of A-Z, 0-9 and _"),
        ("", "POST", {"secrets": {"A": 1}}, "secrets.A: Input should be a valid string"),
        ("/A", "PUT", {"value": CANARY + "x" * VALUE_MAX_BYTES}, "value: A value has at most 65536 bytes"),
        ("", "POST", {"secrets": {"A": CANARY}, "more": 1}, "more: Unknown field"),
    ],
)
async def test_the_first_fault_is_the_sentence_since_the_client_shows_nothing_else(
    served: "Served", path: str, method: str, body: Any, said: str
) -> None:
    status, answer = await served.secrets(method, uuid4(), path, json=body)
    assert (status, answer["error"], answer["details"][0]) == (400, said, said)
    assert CANARY not in str(answer)


async def test_all_values_together_have_a_limit(served: "Served") -> None:
    app, big = uuid4(), "x" * VALUE_MAX_BYTES
    many = {f"A{number}": big for number in range(ALL_VALUES_MAX_BYTES // VALUE_MAX_BYTES)}
    assert (await served.secrets("POST", app, json={"secrets": many}))[0] == 200
    status, body = await served.secrets("PUT", app, "/ONE_MORE", json={"value": "x"})
    assert (status, body["error"]) == (
        400,
        "The values of an app's secrets together have at most 262144 bytes",
    )
    assert len(await changes(served, app)) == 1


async def test_without_the_gateways_word_there_is_no_app(served: "Served") -> None:
    app = uuid4()
    await served.put(app, "A", CANARY)
    path = f"/api/agent-apps/{app}/secrets"
    for claim in (None, uuid4()):
        status, body = await served.call("GET", path, app=claim)
        assert (status, body["error"]) == (404, "Agent app not found")


# ---- versions --------------------------------------------------------------------------------------------------------


async def test_a_version_is_restored_as_a_new_one(served: "Served") -> None:
    app = uuid4()
    await served.secrets("POST", app, json={"secrets": {"A": "1", "B": "1"}})
    await served.put(app, "A", "2")
    await served.secrets("DELETE", app, "/B")
    status, body = await served.secrets("POST", app, "/restore", json={"version": 1})
    assert (status, body) == (200, {"success": True, "secretCount": 2, "version": 4})
    assert await values(served, app) == {"A": "1", "B": "1"}
    status, body = await served.secrets("GET", app, "/versions")
    assert [(one["version"], one["names"]) for one in body["versions"]] == [
        (4, ["A", "B"]),
        (3, ["B"]),
        (2, ["A"]),
        (1, ["A", "B"]),
    ]
    assert body["oldest"] == 0
    status, body = await served.secrets("POST", app, "/restore", json={"version": 5})
    assert (status, body["error"]) == (404, "There is no version 5 to restore: from 0 to 4")


async def test_one_secret_is_restored_and_the_others_stay(served: "Served") -> None:
    app = uuid4()
    await served.secrets("POST", app, json={"secrets": {"A": "1", "B": "1"}})
    await served.secrets("POST", app, json={"secrets": {"B": "2"}})
    status, body = await served.secrets("POST", app, "/restore", json={"version": 1, "key": "A"})
    assert (status, body) == (200, {"success": True, "secretCount": 2, "version": 3})
    assert await values(served, app) == {"A": "1", "B": "2"}
    assert (await changes(served, app))[-1].names == ("A",)
    status, body = await served.secrets("POST", app, "/restore", json={"version": 2, "key": "A"})
    assert (status, body["error"]) == (404, "There was no secret A at version 2")
    status, body = await served.secrets("POST", app, "/restore", json={"version": 1, "key": CANARY})
    assert (status, CANARY in str(body)) == (400, False)


async def test_so_many_versions_are_kept_and_no_more(served: "Served") -> None:
    app, last = uuid4(), KEPT_VERSIONS + 5
    for number in range(1, last + 1):
        assert await served.put(app, "A", f"value {number}") == number
    _, body = await served.secrets("GET", app, "/versions")
    assert (body["oldest"], len(body["versions"])) == (5, KEPT_VERSIONS + 1)
    assert (await served.secrets("POST", app, "/restore", json={"version": 4}))[0] == 404
    assert (await served.secrets("POST", app, "/restore", json={"version": 5}))[0] == 200
    assert await values(served, app) == {"A": "value 5"}
    async with served.notifier.log.reading() as connection:
        kept = await connection.scalar(text("SELECT count(*) FROM state.secrets WHERE app_id = :app"), {"app": app})
    assert kept == KEPT_VERSIONS + 1


# ---- at the same time, and again -------------------------------------------------------------------------------------


async def test_changes_at_the_same_time_are_all_made(served: "Served") -> None:
    app, names = uuid4(), [f"A{number}" for number in range(20)]
    await asyncio.gather(*(served.put(app, name, name) for name in names))
    assert await values(served, app) == {name: name for name in names}
    assert [one.secrets_version for one in await changes(served, app)] == list(range(1, 21))


async def test_a_post_sent_again_is_answered_again_and_done_once(served: "Served") -> None:
    app, key = uuid4(), {"Idempotency-Key": str(uuid4())}
    body = {"secrets": {"A": CANARY}}
    first = await served.secrets("POST", app, json=body, headers=key)
    await served.put(app, "A", "later")
    assert await served.secrets("POST", app, json=body, headers=key) == first
    assert await values(served, app) == {"A": "later"}
    status, _ = await served.secrets("POST", app, json={"secrets": {"A": "other"}}, headers=key)
    assert status == 422


# ---- what is never shown ---------------------------------------------------------------------------------------------


async def test_no_value_is_in_any_row_log_line_or_figure(
    served: "Served", caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    app = uuid4()
    await served.secrets("POST", app, json={"secrets": {"A": CANARY}}, headers={"Idempotency-Key": str(uuid4())})
    await served.put(app, "B", CANARY)
    await served.secrets("DELETE", app, "/A")
    await served.secrets("PUT", app, "/B", json={"value": [CANARY]})
    await served.secrets("PUT", app, "/B", data=f'{{"value": "{CANARY}', headers={"Content-Type": "application/json"})
    await values(served, app)
    written = await served.notifier.everything_written()
    assert str(app) in written
    figures, _ = await served.metrics.exposition()
    for shown in (written, caplog.text, "".join(capsys.readouterr()), figures.decode()):
        assert CANARY not in shown
        assert CANARY.encode().hex() not in shown


DAMAGES = {
    "another name": "UPDATE state.secrets SET name = 'B' WHERE app_id = :app",
    "another version": "UPDATE state.secrets SET version = 0 WHERE app_id = :app",
    "another app's value": """
        UPDATE state.secrets mine SET sealed = other.sealed FROM state.secrets other
        WHERE mine.app_id = :app AND other.app_id = :other
        """,
    "another app's key": """
        UPDATE state.vaults mine SET wrapped_key = other.wrapped_key FROM state.vaults other
        WHERE mine.app_id = :app AND other.app_id = :other
        """,
    "a changed byte": """
        UPDATE state.secrets SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE app_id = :app
        """,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_row_that_was_moved_or_damaged_is_an_error_that_shows_nothing(served: "Served", damage: str) -> None:
    app, other = uuid4(), uuid4()
    for one in (app, other):
        await served.put(one, "A", CANARY)
    async with served.notifier.log.transaction(cause=OPERATOR) as tx:
        await tx.execute(text(damage), {"app": app, **({"other": other} if ":other" in damage else {})})
    status, body = await served.secrets("GET", app)
    assert status == 500
    assert set(body) == {"error", "code", "request_id", "hint"}
    assert CANARY not in str(body)
    with pytest.raises(EnvironmentLost) as lost:
        await served.notifier.vault.values_of(app)
    assert CANARY not in str(lost.value)
    assert (await served.notifier.vault.values_of(other))["A"].get_secret_value() == CANARY


@pytest.mark.parametrize("path", ["", "/A"], ids=["all", "one"])
async def test_what_can_be_opened_no_more_can_be_deleted(served: "Served", path: str) -> None:
    app, other = uuid4(), uuid4()
    for one in (app, other):
        await served.put(one, "A", CANARY)
    async with served.notifier.log.transaction(cause=OPERATOR) as tx:
        await tx.execute(text(DAMAGES["another app's key"]), {"app": app, "other": other})
    _, body = await served.secrets("GET", app, "?masked=true")
    assert body["secrets"] == {"A": "***"}, "names are there without the key"
    status, body = await served.secrets("DELETE", app, path)
    assert (status, body["version"]) == (200, 2)
    assert await values(served, app) == {}
    assert [one.names for one in await changes(served, app)] == [("A",), ("A",)]


async def test_what_the_tables_and_the_log_say_is_compared(served: "Served") -> None:
    app, log = uuid4(), served.notifier.log
    await served.put(app, "A", CANARY)
    await served.put(app, "A", "other")

    async def broken() -> list[str]:
        async with log.reading() as connection:
            return await secrets_are_as_said(connection)

    assert await broken() == []
    async with log.transaction(cause=OPERATOR) as tx:
        await tx.execute(text("UPDATE state.vaults SET version = 1 WHERE app_id = :app"), {"app": app})
    assert await broken() == [f"secrets of app {app} are at version 1, their stream is at 2"]
    async with log.transaction(cause=OPERATOR) as tx:
        await tx.execute(text("DELETE FROM state.vaults WHERE app_id = :app"), {"app": app})
    assert sorted(await broken()) == [f"secret A of app {app} has no key"] * 2


# ---- the app goes ----------------------------------------------------------------------------------------------------


async def test_a_deleted_apps_secrets_go_with_it_and_none_come_after(served: "Served") -> None:
    app = await served.notifier.app()
    await served.put(app, "A", CANARY)
    await served.notifier.delete_app(app)
    async with served.notifier.log.reading() as connection:
        for table in ("vaults", "secrets"):
            count = text(f"SELECT count(*) FROM state.{table} WHERE app_id = :app")  # noqa: S608 - names above
            assert await connection.scalar(count, {"app": app}) == 0
    assert await values(served, app) == {}
    status, body = await served.secrets("PUT", app, "/A", json={"value": CANARY})
    assert (status, body["error"]) == (404, "Agent app not found")


# ---- another key-encryption key --------------------------------------------------------------------------------------


async def test_rekey_wraps_all_anew_and_can_be_cut_off(served: "Served") -> None:
    log, old = served.notifier.log, served.notifier.vault.ring
    apps = [uuid4() for _ in range(BATCH + 5)]
    await asyncio.gather(*(served.put(app, "A", CANARY) for app in apps))
    fresh = new_ring()
    both = type(fresh)(fresh.writing, {**fresh.keys, **old.keys})

    class CutOff(Exception):  # noqa: N818 - what happens
        pass

    def cut_off(done: int, total: int) -> None:
        assert (done, total) == (BATCH, len(apps))
        raise CutOff

    with pytest.raises(CutOff):
        await Rekeying(log, both).run(cut_off)
    told: list[tuple[int, int]] = []
    done = await Rekeying(log, both).run(lambda *progress: told.append(progress))
    assert (done.rewrapped, done.unreadable, told) == (5, (), [(5, 5)])
    assert (await Rekeying(log, both).run(cut_off)).rewrapped == 0
    for app in (apps[0], apps[-1]):
        assert (await Vault(log, fresh).values_of(app))["A"].get_secret_value() == CANARY
        with pytest.raises(EnvironmentLost, match="which is not set"):
            await Vault(log, old).values_of(app)


async def test_rekey_says_what_it_cannot_open_and_goes_on(served: "Served") -> None:
    log, fresh = served.notifier.log, new_ring()
    lost, kept = uuid4(), uuid4()
    await served.put(kept, "A", CANARY)
    other = Vault(log, new_ring())
    async with log.transaction(cause=OPERATOR) as tx:
        wrapped = other.ring.wrap(lost, DataKey.new())
        insert = "INSERT INTO state.vaults (app_id, version, kek_id, wrapped_key) VALUES (:app, 0, :kek, :key)"
        await tx.execute(text(insert), {"app": lost, "kek": wrapped.kek_id, "key": wrapped.sealed})
    both = type(fresh)(fresh.writing, {**fresh.keys, **served.notifier.vault.ring.keys})
    done = await Rekeying(log, both).run(lambda *_: None)
    assert done.rewrapped == 1
    [said] = done.unreadable
    assert str(lost) in said
    assert wrapped.kek_id in said


async def test_a_change_says_whether_the_app_wants_a_release_with_it(served: "Served") -> None:
    app = await served.notifier.app()
    await served.put(app, "LEVEL", "info")
    served.deploy_policy = "on_secrets"
    await served.put(app, "LEVEL", "debug")
    await served.put(app, "LEVEL", "debug")  # the same already: no change
    assert (await served.secrets("DELETE", app, "/LEVEL"))[0] == 200
    told = [each.event for each in await served.notifier.log.history(f"secrets-{app}")]
    assert [each.redeploys for each in told if isinstance(each, SecretsChanged)] == [False, True, True]
