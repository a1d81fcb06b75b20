"""What is sealed opens where it belongs and nowhere else; a fault says which one, and never what."""

import base64
import secrets
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pac.runtime_notifier.secrets.envelope import DataKey, KeyRing, Place, Unreadable, Wrapped, kek_id

VALUE = "hunter22-hunter22"
APP = UUID("c6a3c8f4-20cf-4a2b-8e35-9c1d7a54e011")
PLACE = Place(APP, "API_TOKEN", 3)
KEY = DataKey(bytes(range(32)))
OLD, NEW = bytes(32), bytes([1]) * 32


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def ring(*keys: bytes) -> KeyRing:
    return KeyRing.from_base64(encoded(keys[0]), ",".join(map(encoded, keys[1:])))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.from_regex(r"[A-Z0-9_]{1,128}", fullmatch=True))
def test_what_is_sealed_opens(value: str, name: str) -> None:
    place = replace(PLACE, name=name)
    sealed = KEY.seal(place, SecretStr(value))
    assert KEY.open(place, sealed).get_secret_value() == value
    assert len(value) < 4 or value.encode() not in sealed
    assert KEY.seal(place, SecretStr(value)) != sealed  # equal values cannot be told by their rows


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, app_id=uuid4()),
        replace(PLACE, name="OTHER"),
        replace(PLACE, version=4),
        replace(PLACE, name="API_TOKEN|3", version=3),
    ],
)
def test_a_row_that_was_moved_does_not_open(elsewhere: Place) -> None:
    sealed = KEY.seal(PLACE, SecretStr(VALUE))
    with pytest.raises(Unreadable) as raised:
        KEY.open(elsewhere, sealed)
    assert_silent(raised, sealed)


@given(st.data())
def test_a_changed_byte_anywhere_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(KEY.seal(PLACE, SecretStr(VALUE)))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unreadable) as raised:
        KEY.open(PLACE, bytes(sealed))
    assert_silent(raised, bytes(sealed))


@given(st.integers(0, 60))
def test_a_row_that_was_cut_off_does_not_open(length: int) -> None:
    sealed = KEY.seal(PLACE, SecretStr(VALUE))
    with pytest.raises(Unreadable):
        KEY.open(PLACE, sealed[: min(length, len(sealed) - 1)])


def test_another_apps_key_does_not_open() -> None:
    with pytest.raises(Unreadable):
        DataKey.new().open(PLACE, KEY.seal(PLACE, SecretStr(VALUE)))


def test_the_newest_key_wraps_and_the_retired_ones_still_open() -> None:
    before = ring(OLD).wrap(APP, KEY)
    both = ring(NEW, OLD)
    assert both.unwrap(before) == KEY
    after = both.wrap(APP, both.unwrap(before))
    assert (after.kek_id, both.writing) == (kek_id(NEW), kek_id(NEW))
    assert ring(NEW).unwrap(after) == KEY
    with pytest.raises(Unreadable, match=f"{kek_id(OLD)}, which is not set"):
        ring(NEW).unwrap(before)


@pytest.mark.parametrize(
    "change",
    [
        {"app_id": uuid4()},
        {"kek_id": kek_id(OLD)},
        {"sealed": b""},
        {"sealed": secrets.token_bytes(60)},
    ],
)
def test_a_wrapped_key_that_was_moved_or_changed_does_not_open(change: dict[str, object]) -> None:
    wrapped = ring(NEW, OLD).wrap(APP, KEY)
    with pytest.raises(Unreadable):
        ring(NEW, OLD).unwrap(replace(wrapped, **change))  # type: ignore[arg-type] # each of its field's type


@pytest.mark.parametrize(
    ("current", "retired"), [("", ""), ("short", ""), (encoded(OLD)[:-4], ""), (encoded(OLD), "x")]
)
def test_what_is_no_key_is_refused(current: str, retired: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the settings say which variable
        KeyRing.from_base64(current, retired)


def test_no_repr_shows_a_key() -> None:
    wrapped = ring(NEW).wrap(APP, KEY)
    shown = f"{KEY!r} {ring(NEW, OLD)!r} {wrapped!r} {Wrapped(APP, 'x', KEY.raw)!r}"
    for key in (KEY.raw, NEW, OLD, wrapped.sealed):
        assert repr(key) not in shown
        assert key.hex() not in shown


def assert_silent(raised: pytest.ExceptionInfo[Unreadable], sealed: bytes) -> None:
    """Nor does what it was raised from say more."""
    assert VALUE not in str(raised.value)
    assert repr(sealed) not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
