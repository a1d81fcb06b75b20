import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pac.packages.form import read_environment, read_form

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)


def test_the_real_clients_fields_are_read() -> None:
    form = read_form(
        {
            "version": b"1.2.0",
            "release_notes": "Füße".encode(),
            "force_overwrite": b"true",
            "environment": b'{"A": "1"}',
            "signature": b"\xff\x00",
        }
    )
    assert (form.version, form.release_notes, form.force_overwrite) == ("1.2.0", "Füße", True)
    assert (dict(form.environment), form.signature, form.faults) == ({"A": "1"}, b"\xff\x00", ())


def test_what_is_not_given_is_not_there() -> None:
    form = read_form({"version": b" ", "environment": b"", "force_overwrite": b""})
    assert (form.version, dict(form.environment), form.force_overwrite, form.faults) == (None, {}, False, ())


@given(st.dictionaries(NAMES, VALUES, max_size=10))
def test_any_object_of_texts_is_an_environment(environment: dict[str, str]) -> None:
    assert read_environment(json.dumps(environment)) == (environment, ())


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "null",
        '"text"',
        "[" * 100_000,
        '{"A": 1}',
        '{"A": null}',
        '{"A": {"B": "hunter2"}}',
        '{"A": "hunter2", "A": "other"}',
        '{"1A": "hunter2"}',
        '{"": "hunter2"}',
        '{"A=B": "hunter2"}',
        '{"A": "hunter2\\u0000"}',
        '{"A": "\\ud800"}',
        json.dumps({f"A{n}": "hunter2" for n in range(501)}),
    ],
)
def test_anything_else_is_a_fault_that_shows_no_value(text: str) -> None:
    environment, faults = read_environment(text)
    assert environment == {}
    assert faults
    assert "hunter2" not in str(faults)


def test_a_form_does_not_show_its_environment() -> None:
    assert "hunter2" not in repr(read_form({"environment": b'{"A": "hunter2"}', "signature": b"hunter2"}))


@pytest.mark.parametrize("field", [b"\xff", b"a\x00b"])
def test_text_that_is_none_is_a_fault(field: bytes) -> None:
    assert [fault.entry for fault in read_form({"version": field}).faults] == ["version"]
