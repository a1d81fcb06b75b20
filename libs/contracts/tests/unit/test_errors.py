"""The table of errors is whole: each code with its sentence, what to do about it, its shape, its line on the page."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pac.contracts.error_bodies import COMMON, FIELDS, OF_A_PROBLEM, error_schema, problem_schema
from pac.contracts.error_reference import main, page
from pac.contracts.errors import ERRORS, ErrorCode

ROOT = Path(__file__).parents[4]
COMMITTED = ROOT / "docs" / "reference" / "errors.md"


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


def refusals() -> Iterator[tuple[str, ErrorCode, set[str], bool]]:
    """Of all sources: where, which code, its fields, and whether they are all to be seen there."""
    for source in sorted([*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/*/src/**/*.py")]):
        for node in ast.walk(ast.parse(source.read_text())):
            match node:
                case ast.Call(func=ast.Name("Refused"), args=[ast.Attribute(ast.Name("ErrorCode"), name), *_]):
                    names = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                    where, is_whole = f"{source.relative_to(ROOT)}:{node.lineno}", len(names) == len(node.keywords)
                    yield where, ErrorCode[name], names - {"hint", "sentence", "retry_after_seconds"}, is_whole
                case _:
                    pass


def test_everything_that_is_refused_has_the_fields_that_the_table_promises() -> None:
    found = list(refusals())
    assert len(found) > 50
    for where, code, fields, is_whole in found:
        kind = ERRORS[code]
        assert fields <= {*kind.always, *kind.sometimes}, f"{where}: {code} has a field that errors.py does not name"
        if is_whole:
            assert fields >= set(kind.always), f"{where}: {code} lacks {set(kind.always) - fields}"
