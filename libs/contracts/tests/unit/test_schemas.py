from pathlib import Path

import orjson

from pac.contracts.errors import ERRORS, ErrorCode
from pac.contracts.schemas import main, schemas
from pac.contracts.topics import EVENTS_OF, UNIONS, ServiceName, event_types

COMMITTED = Path(__file__).parents[2] / "schemas"


def test_the_committed_schemas_are_what_the_code_says() -> None:
    assert {str(path.relative_to(COMMITTED)): path.read_bytes() for path in COMMITTED.rglob("*.json")} == schemas()


def test_a_stale_schema_is_named(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "billing/CreditsReserved.v1.json").write_bytes(b"{}")
    assert main(["--check", str(tmp_path)]) == 1


def test_every_service_says_events_and_no_type_is_said_by_two() -> None:
    assert set(UNIONS) == set(EVENTS_OF) == set(ServiceName)
    names = [kind.__name__ for service in ServiceName for kind in event_types(service)]
    assert len(names) == len(set(names))


def test_the_class_name_is_the_type_on_the_wire() -> None:
    for service in ServiceName:
        for kind in event_types(service):
            assert kind.model_fields["type"].default == kind.__name__


def test_no_event_holds_a_float() -> None:
    """A number must read back from jsonb exactly as it was hashed."""
    for name, content in schemas().items():
        assert b'"number"' not in content, name
        assert orjson.loads(content)["type"] == "object"


def test_every_error_code_has_its_line_in_the_table() -> None:
    assert set(ERRORS) == set(ErrorCode)
    assert all(400 <= kind.status < 600 and kind.sentence.isprintable() for kind in ERRORS.values())
