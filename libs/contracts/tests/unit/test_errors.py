"""The table of errors is whole: each code with its sentence, what to do about it, its shape, its line on the page."""

from pathlib import Path

import pytest

from pac.contracts.error_bodies import COMMON, FIELDS, OF_A_PROBLEM, error_schema, problem_schema
from pac.contracts.error_reference import main, page
from pac.contracts.errors import ERRORS, ErrorCode

COMMITTED = Path(__file__).parents[4] / "docs" / "reference" / "errors.md"


def test_every_code_has_one_line_in_the_order_of_its_status() -> None:
    assert list(ERRORS) == list(ErrorCode)
    statuses = [kind.status for kind in ERRORS.values()]
    assert statuses == sorted(statuses)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_code_has_a_sentence_a_hint_and_known_fields(code: ErrorCode) -> None:
    kind = ERRORS[code]
    assert 400 <= kind.status < 600
    assert kind.sentence
    assert kind.sentence.isascii(), "it is a reason phrase"
    assert kind.hint
    assert {*kind.always, *kind.sometimes} <= set(FIELDS)
    assert not {*kind.always, *kind.sometimes} & {*COMMON, *OF_A_PROBLEM}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_problem_has_everything_that_the_plain_form_has(code: ErrorCode) -> None:
    plain, problem = error_schema(code), problem_schema(code)
    assert set(problem["required"]) == {*plain["required"], *OF_A_PROBLEM}
    assert set(problem["properties"]) == {*plain["properties"], *OF_A_PROBLEM}


def test_every_field_belongs_to_some_code() -> None:
    assert {name for kind in ERRORS.values() for name in (*kind.always, *kind.sometimes)} == set(FIELDS)


def test_the_page_is_what_the_table_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(COMMITTED)]) == 0
    assert all(f"| `{code}` |" in page() for code in ErrorCode)
    stale = tmp_path / "errors.md"
    stale.write_text("old")
    assert main(["--check", str(stale)]) == 1
    assert "make generate" in capsys.readouterr().err
    assert main([str(stale)]) == 0
    assert stale.read_text() == page()
