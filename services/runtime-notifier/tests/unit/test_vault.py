"""What the log says of secrets, which versions a book still has, and what a body of them may hold."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from pac.contracts.bodies.secrets import SECRETS_MAX, VALUE_MAX_BYTES, PutSecret, SetSecrets
from pac.contracts.runtime_notifier import SecretsChanged
from pac.runtime_notifier.secrets.book import KEPT_VERSIONS, Book, Entry
from pac.runtime_notifier.secrets.domain import SECRETS, ChangeSecrets
from pac.runtime_notifier.secrets.envelope import DataKey, KeyRing, Place
from pac.servicekit.requests import details_of
from pac.testkit.given import given

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ACCOUNT, APP = UUID(int=1), UUID(int=2)
KEY = DataKey(bytes(32))
RING = KeyRing("a", {"a": bytes(32)})
CANARY = "hunter22"


def change(*names: str) -> ChangeSecrets:
    return ChangeSecrets(ACCOUNT, APP, frozenset(names), NOON)


def changed(version: int, *names: str) -> SecretsChanged:
    return SecretsChanged(account_id=ACCOUNT, at=NOON, agent_app_id=APP, names=names, secrets_version=version)


def test_each_change_is_the_next_version_and_names_are_sorted() -> None:
    given(SECRETS).when(change("B", "A")).then(changed(1, "A", "B"))
    given(SECRETS, changed(1, "A")).when(change("C")).then(changed(2, "C"))


def test_where_nothing_changed_nothing_is_said() -> None:
    given(SECRETS, changed(1, "A")).when(change()).then()


# ---- the book --------------------------------------------------------------------------------------------------------


def entry(name: str, value: str, version: int, until: int | None = None) -> Entry:
    place = Place(APP, name, version)
    return Entry(place, until, KEY.seal(place, SecretStr(value)), "key-1", NOON)


def book_at(version: int, *entries: Entry) -> Book:
    return Book(APP, RING, version, RING.wrap(APP, KEY), entries)


def plain(book: Book, version: int | None = None) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in book.values(version).items()}


def test_a_version_is_what_was_in_force_then() -> None:
    entries = (entry("A", "1", 1, until=3), entry("A", "3", 3), entry("B", "2", 2, until=4))
    book = book_at(4, *entries)
    assert plain(book, 0) == {}
    assert plain(book, 1) == {"A": "1"}
    assert plain(book, 2) == {"A": "1", "B": "2"}
    assert plain(book, 3) == {"A": "3", "B": "2"}
    assert plain(book) == {"A": "3"}
    assert {value.get_secret_value() for value in book.every_value()} == {"1", "2", "3"}


@given_any(st.integers(0, 100))
def test_so_many_versions_can_be_restored(version: int) -> None:
    oldest = book_at(version).oldest
    assert oldest >= 0
    assert version - oldest == min(version, KEPT_VERSIONS)


def test_no_repr_shows_a_value_or_its_ciphertext() -> None:
    book = book_at(1, entry("A", CANARY, 1))
    shown = repr(book) + repr(book.values())
    assert CANARY not in shown
    assert repr(book.entries[0].sealed) not in shown


# ---- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "body", "told"),
    [
        (SetSecrets, {"secrets": {CANARY: "x"}}, "secrets: Names have 1 to 128 characters out of A-Z, 0-9 and _"),
        (SetSecrets, {"secrets": {"A" * 129: CANARY}}, "secrets: Names have 1 to 128"),
        (SetSecrets, {"secrets": {"A": "x\0" + CANARY}}, "secrets.A: A value cannot hold the character NUL"),
        (SetSecrets, {"secrets": {"A": CANARY * VALUE_MAX_BYTES}}, "secrets.A: A value has at most 65536 bytes"),
        (SetSecrets, {"secrets": {f"A{n}": CANARY for n in range(SECRETS_MAX + 1)}}, "secrets: Dictionary should have"),
        (SetSecrets, {"secrets": {"A": {CANARY: CANARY}}}, "secrets.A: Input should be a valid string"),
        (SetSecrets, {"secrets": [CANARY]}, "secrets: Input should be an object"),
        (PutSecret, {"value": 5}, "value: Input should be a valid string"),
        (PutSecret, {"value": "x", "key": CANARY}, "key: Unknown field"),
        (PutSecret, {}, "value: Field required"),
    ],
)
def test_a_fault_of_a_body_names_the_place_and_not_what_came(
    model: type[BaseModel], body: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate_json(json.dumps(body), strict=True)
    details = details_of(raised.value)
    assert details[0].startswith(told)
    assert CANARY not in " ".join(details)


def test_a_body_is_not_shown_with_its_values() -> None:
    body = SetSecrets.model_validate_json(f'{{"secrets": {{"A": "{CANARY}"}}}}', strict=True)
    assert CANARY not in repr(body)
    assert body.secrets["A"].get_secret_value() == CANARY
