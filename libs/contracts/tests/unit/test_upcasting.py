"""Events of earlier versions mean what they meant; proved with types of their own, as long as none has two versions."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope, NotAnEvent, from_kafka, to_kafka
from pac.contracts.topics import ServiceName, event_types
from pac.contracts.upcasting import UPCASTERS, Data, NewerThanKnown, Upcasters

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Weighed(Event):
    """Version 1 said `pounds`, version 2 `grams` as text, version 3 `grams` as a number."""

    data_version: ClassVar[int] = 3
    type: Literal["Weighed"] = "Weighed"
    thing_id: UUID
    grams: int


class Dropped(Event):
    type: Literal["Dropped"] = "Dropped"
    thing_id: UUID


def weighed_2(data: Data) -> Data:
    return {**{name: value for name, value in data.items() if name != "pounds"}, "grams": str(data["pounds"] * 454)}


def weighed_3(data: Data) -> Data:
    return {**data, "grams": int(data["grams"])}


THINGS: TypeAdapter[Any] = TypeAdapter(Annotated[Weighed | Dropped, Field(discriminator="type")])
STEPS = {("Weighed", 1): weighed_2, ("Weighed", 2): weighed_3}
UP = Upcasters.of((Weighed, Dropped), STEPS)
THING = UUID(int=3)


def told(**fields: object) -> bytes:
    known: dict[str, object] = {"type": "Weighed", "account_id": str(UUID(int=1)), "at": "2026-11-23T12:00:00Z"}
    return orjson.dumps({**known, "thing_id": str(THING), **fields})


def weighed(grams: int) -> Weighed:
    return Weighed(account_id=UUID(int=1), at=NOON, thing_id=THING, grams=grams)


@given(pounds=st.integers(0, 10**6))
def test_every_version_is_read_as_the_newest(pounds: int) -> None:
    grams = pounds * 454
    assert UP.read(THINGS, told(pounds=pounds), 1) == weighed(grams)
    assert UP.read(THINGS, told(grams=str(grams)), 2) == weighed(grams)
    assert UP.read(THINGS, told(grams=grams), 3) == weighed(grams)


def test_a_type_without_a_second_version_is_read_as_it_is() -> None:
    dropped = Dropped(account_id=UUID(int=1), at=NOON, thing_id=THING)
    assert UP.read(THINGS, dropped.model_dump_json(), 1) == dropped


@pytest.mark.parametrize(("kind", "version"), [("Weighed", 4), ("Weighed", 99), ("Dropped", 2)])
def test_a_version_of_a_later_release_is_refused_by_name(kind: str, version: int) -> None:
    with pytest.raises(NewerThanKnown, match=f"{kind} is of version {version}, and this release knows") as refused:
        UP.read(THINGS, told(type=kind, grams=1), version)
    assert (refused.value.kind, refused.value.version) == (kind, version)


def test_a_newer_version_is_refused_while_no_type_has_two() -> None:
    only_first = Upcasters.of((Dropped,), {})
    with pytest.raises(NewerThanKnown):
        only_first.read(THINGS, told(type="Dropped"), 2)


@pytest.mark.parametrize("data", [b"{", b"[]", b"7", b"{}", b'{"type": 7}', told(type="Unheard")])
@pytest.mark.parametrize("version", [1, 2])
def test_what_is_no_event_stays_no_event(data: bytes, version: int) -> None:
    with pytest.raises(ValidationError):
        UP.read(THINGS, data, version)


def test_an_old_event_is_checked_like_any_other_after_it_was_upcast() -> None:
    with pytest.raises(ValidationError):
        UP.read(THINGS, told(grams="7", thing_id="no id"), 2)


def envelope(event: Event) -> Envelope[Event]:
    return Envelope(uuid4(), "packages", f"thing-{THING}", 1, event, "key-1", uuid4())


def as_version(version: int, data: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """A message as an earlier, or later, release has said it."""
    _, _, headers = to_kafka(envelope(weighed(1)))
    return data, [(name, str(version).encode() if name == "ce_dataversion" else text) for name, text in headers]


def test_kafkas_messages_of_every_version_are_read_as_the_newest() -> None:
    for version, data in ((1, told(pounds=2)), (2, told(grams="908")), (3, told(grams=908))):
        assert from_kafka(*as_version(version, data), THINGS, UP).event == weighed(908)


def test_a_message_of_a_later_release_is_told_from_one_that_is_broken() -> None:
    with pytest.raises(NewerThanKnown):
        from_kafka(*as_version(4, told(tonnes=1)), THINGS, UP)


@pytest.mark.parametrize("version", ["", "0", "-1", "1.0", "two", "²"])
def test_a_message_that_does_not_say_its_version_is_no_event(version: str) -> None:
    data, headers = as_version(1, told(pounds=2))
    lying = [(name, version.encode() if name == "ce_dataversion" else text) for name, text in headers]
    with pytest.raises(NotAnEvent, match="ce_dataversion"):
        from_kafka(data, lying, THINGS, UP)
    with pytest.raises(NotAnEvent, match="ce_dataversion"):
        from_kafka(data, [pair for pair in headers if pair[0] != "ce_dataversion"], THINGS, UP)


def test_what_is_said_again_is_said_in_the_newest_version() -> None:
    """`pac log replay` tells old events anew: data and version in the headers belong together."""
    old = from_kafka(*as_version(1, told(pounds=2)), THINGS, UP)
    _, value, headers = to_kafka(old)
    assert dict(headers)["ce_dataversion"] == b"3"
    assert from_kafka(value, headers, THINGS, UP) == old


def test_a_missing_step_is_found_before_any_event_is_read() -> None:
    with pytest.raises(ValueError, match=r"no upcaster for .*Weighed', 1"):
        Upcasters.of((Weighed, Dropped), {("Weighed", 2): weighed_3})


@pytest.mark.parametrize("idle", [("Weighed", 3), ("Dropped", 1), ("Unheard", 1)])
def test_a_step_that_leads_nowhere_is_refused(idle: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="nothing needs"):
        Upcasters.of((Weighed, Dropped), {**STEPS, idle: weighed_3})


def test_every_event_of_pac_is_known_at_its_version() -> None:
    kinds = [kind for service in ServiceName for kind in event_types(service)]
    assert UPCASTERS.known == {kind.__name__: kind.data_version for kind in kinds}
