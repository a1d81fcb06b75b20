"""Every event that was ever said can be read, and says the same as on the day it was kept."""

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from pac.contracts.envelope import Envelope, from_kafka, to_kafka
from pac.contracts.examples import NoExample, example
from pac.contracts.golden import Golden, goldens, main, missing
from pac.contracts.topics import EVENTS_OF, ServiceName, event_types
from pac.contracts.upcasting import UPCASTERS

CONTRACTS = Path(__file__).parents[2]
GOLDEN, RELEASED = CONTRACTS / "golden", CONTRACTS / "released"
ALL = list(goldens(GOLDEN))
NEWEST = [golden for golden in ALL if golden.version == UPCASTERS.known.get(golden.kind)]


def within(kept: Any, today: Any) -> bool:
    """Everything that was kept is there, with the same value; fields may have come to it."""
    match kept, today:
        case dict(), dict():
            return all(name in today and within(value, today[name]) for name, value in kept.items())
        case list(), list():
            return len(kept) == len(today) and all(map(within, kept, today))
        case _:
            return bool(kept == today) and type(kept) is type(today)


@pytest.mark.parametrize("golden", ALL, ids=lambda golden: golden.path.stem)
def test_every_example_is_read_and_comes_through_kafka(golden: Golden) -> None:
    event = golden.read()
    assert event.type == golden.kind
    assert event.data_version >= golden.version
    _, _, headers = to_kafka(Envelope(event.account_id, golden.service, "x-1", 1, event, "key-1", event.account_id))
    said = [(name, str(golden.version).encode() if name == "ce_dataversion" else text) for name, text in headers]
    assert from_kafka(orjson.dumps(golden.data), said, EVENTS_OF[golden.service]).event == event


@pytest.mark.parametrize("golden", NEWEST, ids=lambda golden: golden.path.stem)
def test_what_an_example_says_is_said_again_to_the_letter(golden: Golden) -> None:
    assert within(golden.data, golden.read().model_dump(mode="json"))


def test_every_event_has_an_example_with_every_field() -> None:
    assert [golden.path for golden in missing(GOLDEN)] == []
    assert main(["--check", str(GOLDEN)]) == 0


def test_every_released_version_has_its_example() -> None:
    kept = {(golden.service.value, golden.kind, golden.version) for golden in ALL}
    for path in RELEASED.glob("*/*.json"):
        kind, _, version = path.stem.partition(".v")
        assert (path.parent.name, kind, int(version)) in kept


def test_what_is_kept_is_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    shutil.copytree(GOLDEN, folder)
    other = folder / "billing/CreditsReserved.v1.json"
    other.write_bytes(orjson.dumps({**orjson.loads(other.read_bytes()), "amount": 99}))
    (folder / "billing/CreditsReleased.v1.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    assert main(["--check", str(folder)]) == 1
    assert main([str(folder)]) == 0
    after = {path: path.read_bytes() for path in folder.rglob("*.json")}
    assert {path: after[path] for path in before} == before
    assert [path.name for path in after.keys() - before.keys()] == ["CreditsReleased.v1.json"]


def test_a_field_that_no_example_shows_gets_another_one(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    first = tmp_path / "packages/PackageRejected.v1.json"
    kept = orjson.loads(first.read_bytes())
    del kept["problems"][0]["hint"]
    first.write_bytes(orjson.dumps(kept))
    [another] = missing(tmp_path)
    assert another.path.name == "PackageRejected.v1-2.json"
    assert another.data["problems"][0]["hint"]
    assert main([str(tmp_path)]) == 0
    assert orjson.loads(first.read_bytes()) == kept
    assert list(missing(tmp_path)) == []
    assert {golden.version for golden in goldens(tmp_path)} == {1}


def test_a_field_without_an_example_is_named() -> None:
    schema = {"title": "Weighed", "properties": {"grams": {"type": "integer"}}}
    with pytest.raises(NoExample, match=r"Weighed\.grams"):
        example(schema, schema)


def test_examples_hold_no_field_of_the_future() -> None:
    for service in ServiceName:
        for kind in event_types(service):
            schema = kind.model_json_schema()
            assert example(schema, schema).keys() == kind.model_fields.keys()
