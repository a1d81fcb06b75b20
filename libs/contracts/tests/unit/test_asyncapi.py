"""The document is what is said on the wire: every topic, every type, and exactly the headers that messages have."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from pac.contracts.asyncapi import content, document, main
from pac.contracts.billing import CreditsReserved
from pac.contracts.envelope import Envelope, to_kafka
from pac.contracts.topics import EVENTS_OF, ServiceName, event_types

COMMITTED = Path(__file__).parents[2] / "asyncapi.json"
DOCUMENT = document()
# From https://www.asyncapi.com/docs/reference/specification/v3.0.0, as far as this document goes: required, allowed.
FIXED: dict[str, tuple[set[str], set[str]]] = {
    "": ({"asyncapi", "info"}, {"defaultContentType", "channels", "operations", "components"}),
    "info": ({"title", "version"}, {"description", "license"}),
    "channels/*": ({"address", "messages"}, {"title", "description", "bindings"}),
    "operations/*": ({"action", "channel"}, set()),
    "components": (set(), {"messages", "schemas", "correlationIds"}),
    "components/messages/*": (
        {"name", "payload", "headers"},
        {"title", "description", "contentType", "correlationId", "bindings", "examples"},
    ),
}


def refs(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str() as ref}:
            yield ref
        case dict():
            for inner in value.values():
                yield from refs(inner)
        case list():
            for inner in value:
                yield from refs(inner)
        case _:
            pass


def found(path: str, within: Any = DOCUMENT) -> list[Any]:
    here = [within]
    for part in filter(None, path.split("/")):
        here = [each for one in here for each in (one.values() if part == "*" else [one[part]])]
    return here


def test_the_committed_document_is_what_the_code_says() -> None:
    assert main(["--check", str(COMMITTED)]) == 0
    assert COMMITTED.read_bytes() == content()


def test_a_stale_document_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "asyncapi.json"
    assert main(["--check", str(path)]) == 1
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0
    path.write_bytes(path.read_bytes().replace(b"CreditsReserved", b"CreditsKept"))
    assert main(["--check", str(path)]) == 1
    assert "make generate" in capsys.readouterr().err


def test_every_reference_leads_somewhere() -> None:
    named = set(refs(DOCUMENT))
    assert named
    for ref in named:
        assert ref.startswith("#/")
        assert found(ref.removeprefix("#/")), ref


@pytest.mark.parametrize("place", FIXED)
def test_objects_have_the_fields_of_the_specification(place: str) -> None:
    required, more = FIXED[place]
    for each in found(place):
        assert required <= each.keys() <= required | more


def test_names_of_components_are_ones_that_the_specification_allows() -> None:
    for names in DOCUMENT["components"].values():
        assert [name for name in names if not re.fullmatch(r"[\w.\-]+", name, re.ASCII)] == []


def test_each_topic_carries_the_types_that_its_service_says() -> None:
    for service in ServiceName:
        told = DOCUMENT["channels"][service.topic]
        assert told["address"] == service.topic
        assert set(told["messages"]) == {kind.__name__ for kind in event_types(service)}
        assert DOCUMENT["channels"][service.dead_letters]["address"] == service.dead_letters
    assert len(DOCUMENT["channels"]) == len(DOCUMENT["operations"]) == 2 * len(ServiceName)


def test_each_message_says_its_type_service_and_version() -> None:
    for service in ServiceName:
        for kind in event_types(service):
            message = DOCUMENT["components"]["messages"][kind.__name__]
            told = message["headers"]["allOf"][1]["properties"]
            assert {name: each["const"] for name, each in told.items()} == {
                "ce_type": kind.__name__,
                "ce_source": service.value,
                "ce_dataversion": str(kind.data_version),
            }
            assert message["payload"] == {"$ref": f"#/components/schemas/{kind.__name__}"}
            [shown] = message["examples"]
            assert isinstance(EVENTS_OF[service].validate_json(orjson.dumps(shown["payload"])), kind)


def test_each_payload_is_the_types_own_schema() -> None:
    """Fields, and what is required; nested types have the same names as in the schemas."""
    for service in ServiceName:
        for kind in event_types(service):
            told, own = DOCUMENT["components"]["schemas"][kind.__name__], kind.model_json_schema()
            assert told["properties"].keys() == own["properties"].keys()
            assert told["required"] == own["required"]


@pytest.mark.parametrize("full", [True, False])
def test_headers_are_those_of_a_real_message(*, full: bool) -> None:
    said = CreditsReserved(account_id=UUID(int=1), at=datetime.now(UTC), deployment_id=UUID(int=2), amount=1)
    cause, trace = (UUID(int=3), "00-1-2-01") if full else (None, None)
    _, _, headers = to_kafka(Envelope(UUID(int=4), "billing", "hold-2", 1, said, "key-1", UUID(int=5), cause, trace))
    told = DOCUMENT["components"]["schemas"]["EventHeaders"]
    assert {name for name, _ in headers} == set(told["properties"] if full else told["required"])
    for name, value in headers:
        rule, text = told["properties"][name], value.decode()
        assert text == rule.get("const", text)
        assert text in rule.get("enum", [text])
        assert re.fullmatch(rule.get("pattern", ".*"), text)


def test_a_header_that_is_only_sometimes_there_is_not_required() -> None:
    told = DOCUMENT["components"]["schemas"]["EventHeaders"]
    assert set(told["properties"]) - set(told["required"]) == {"ce_causationid", "traceparent"}
