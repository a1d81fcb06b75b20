"""Who may sign an app's packages: keys in, listed, replaced, removed, and what is no key named."""

from typing import Any

import pytest
from dirty_equals import IsDatetime, IsStr
from pysequoia import Tsk

from pac.contracts.gateway import AgentAppChanged, AgentAppDeleted
from pac.contracts.packages import SigningKeysChanged
from pac.contracts.topics import ServiceName
from pac.testkit.service import Answer

from .harness import NOON, Packages, Tenant

WHEN = IsDatetime(iso_string=True)
FINGERPRINT = IsStr(regex=r"[0-9a-f]{40}")


def new_key(name: str = "Alice <alice@example.org>") -> Tsk:
    return Tsk.generate(name)


def armored(*keys: Tsk) -> list[str]:
    return [str(key.extract_certificate()) for key in keys]


async def put(packages: Packages, tenant: Tenant, keys: list[str]) -> Answer:
    return await packages.call("PUT", tenant.signing_keys, tenant, json={"keys": keys})


async def listed(packages: Packages, tenant: Tenant) -> list[dict[str, Any]]:
    answer = await packages.call("GET", tenant.signing_keys, tenant)
    assert answer.status == 200, answer
    keys: list[dict[str, Any]] = answer.body["keys"]
    return keys


async def said(packages: Packages, tenant: Tenant) -> list[tuple[str, ...]]:
    events = [told.event for told in await packages.log.history(f"signers-{tenant.app_id}")]
    return [event.fingerprints for event in events if isinstance(event, SigningKeysChanged)]


async def test_keys_are_shown_with_what_may_sign(packages: Packages, tenant: Tenant) -> None:
    assert await listed(packages, tenant) == []
    key = new_key()
    answer = await put(packages, tenant, armored(key))
    fingerprint = key.extract_certificate().fingerprint
    shown = {
        "fingerprint": fingerprint,
        "user_ids": ["Alice <alice@example.org>"],
        "created_at": WHEN,
        "expires_at": None,
        "signing": [{"fingerprint": FINGERPRINT, "created_at": WHEN, "expires_at": None}],
        "added_at": WHEN,
    }
    assert (answer.status, answer.body) == (200, {"keys": [shown]})
    assert answer.body["keys"][0]["signing"][0]["fingerprint"] != fingerprint
    assert await listed(packages, tenant) == answer.body["keys"]


async def test_what_is_put_replaces_what_was_there(packages: Packages, tenant: Tenant) -> None:
    one, two, three = [new_key(f"{name}@example.org") for name in ("one", "two", "three")]
    first = (await put(packages, tenant, armored(one, two))).body["keys"]
    second = (await put(packages, tenant, armored(three, two))).body["keys"]
    before, after = ({key["fingerprint"]: key["added_at"] for key in keys} for keys in (first, second))
    kept = two.extract_certificate().fingerprint
    assert before.keys() & after.keys() == {kept}
    assert before[kept] == after[kept]
    assert (await put(packages, tenant, armored(two, three))).status == 200
    removed = await packages.call("DELETE", tenant.signing_keys, tenant)
    assert (removed.status, removed.body) == (200, {"message": "Signing keys deleted successfully"})
    assert await listed(packages, tenant) == []
    assert (await packages.call("DELETE", tenant.signing_keys, tenant)).status == 200
    assert await said(packages, tenant) == [tuple(sorted(before)), tuple(sorted(after)), ()]


async def test_nothing_of_people_is_in_the_log(packages: Packages, tenant: Tenant) -> None:
    await put(packages, tenant, armored(new_key()))
    assert "alice" not in str(await packages.rows("SELECT t::text FROM log.events AS t"))


async def test_every_key_that_cannot_be_taken_is_named_and_none_is_kept(packages: Packages, tenant: Tenant) -> None:
    good, private = new_key(), new_key()
    [public] = armored(good)
    keys = ["hello", public, str(private), *armored(private, new_key()), public]
    keys[3:5] = ["".join(keys[3:5])]
    answer = await put(packages, tenant, keys)
    assert (answer.status, answer.body["code"]) == (400, "invalid_request")
    assert answer.body["details"] == [
        "keys.0: Not an armored OpenPGP public key",
        "keys.1: Given twice",
        "keys.2: A private key; it was not kept",
        "keys.3: More than one key",
        "keys.4: Given twice",
    ]
    assert [problem["code"] for problem in answer.body["problems"]] == [
        "signing_key_unreadable",
        "signing_key_repeated",
        "signing_key_private",
        "signing_key_several",
        "signing_key_repeated",
    ]
    assert await listed(packages, tenant) == []
    assert await said(packages, tenant) == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "keys: Field required"),
        ({"keys": "x"}, "keys: Input should be a valid array"),
        ({"keys": [""]}, "keys.0: String should have at least 1 character"),
        ({"keys": ["x" * 65_537]}, "keys.0: String should have at most 65536 characters"),
        ({"keys": ["x"] * 11}, "keys: List should have at most 10 items after validation, not 11"),
        ({"keys": [], "more": 1}, "more: Unknown field"),
    ],
)
async def test_how_many_and_how_large_is_bounded(
    packages: Packages, tenant: Tenant, body: dict[str, Any], detail: str
) -> None:
    answer = await packages.call("PUT", tenant.signing_keys, tenant, json=body)
    assert (answer.status, answer.body["details"]) == (400, [detail])


async def test_a_key_for_one_app_is_none_for_another(packages: Packages, tenant: Tenant) -> None:
    other = Tenant(account_id=tenant.account_id)
    await put(packages, tenant, armored(new_key()))
    assert await listed(packages, other) == []
    foreign = await packages.call("GET", tenant.signing_keys, other)
    assert (foreign.status, foreign.body["error"]) == (404, "Agent app not found")


async def test_keys_go_with_their_app(packages: Packages, tenant: Tenant) -> None:
    await put(packages, tenant, armored(new_key()))
    event = AgentAppDeleted(account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id)
    await packages.hear(ServiceName.GATEWAY, f"app-{tenant.app_id}", event)
    assert await packages.rows("SELECT 1 FROM state.signing_keys") == []
    assert (await put(packages, tenant, armored(new_key()))).status == 404


async def test_the_policy_is_remembered_as_it_was_heard_last(packages: Packages, tenant: Tenant) -> None:
    for policy in ("required", None, "off"):
        event = AgentAppChanged(
            account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id, signature_policy=policy
        )
        await packages.hear(ServiceName.GATEWAY, f"app-{tenant.app_id}", event)
        expected = policy or "required"
        assert await packages.rows("SELECT signature_policy FROM state.apps") == [(expected,)]
