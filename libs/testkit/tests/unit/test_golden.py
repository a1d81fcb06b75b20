"""A kept stream notices when today's code reads, folds or hashes in another way than then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
import pytest

from pac.contracts.base import Step
from pac.contracts.billing import CreditsCaptured, CreditsReserved, HoldEvent
from pac.contracts.topics import ServiceName
from pac.eventlog.types import Decider
from pac.testkit.golden import Kept, differences, kept_in, main, missing, plain, untold

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STREAMS = """
from datetime import UTC, datetime
from uuid import UUID
from pac.contracts.billing import CreditsCaptured, CreditsReserved
from pac.contracts.topics import ServiceName
from pac.eventlog.types import Decider
from pac.testkit.golden import Story

IDS = {"account_id": UUID(int=1), "at": datetime(2026, 11, 23, 12, tzinfo=UTC), "deployment_id": UUID(int=2)}
TOTAL = Decider("hold", 0, lambda now, said: [said], lambda now, said: now + said.amount)
SAID = [CreditsReserved(**IDS, amount=2), CreditsCaptured(**IDS, amount=3, attempt=1)]
STORIES = {"total": Story(ServiceName.BILLING, TOTAL, UUID(int=2), SAID)}
"""


@dataclass(frozen=True)
class Inner:
    at: datetime = NOON
    steps: Mapping[Step, int] = field(default_factory=lambda: MappingProxyType({Step.FINALIZE: 1}))


@dataclass(frozen=True)
class State:
    ids: frozenset[UUID] = frozenset({UUID(int=2), UUID(int=1)})
    inner: Inner | None = field(default_factory=Inner)
    said: CreditsReserved | None = None
    parts: tuple[str, ...] = ("a", "b")


@dataclass(frozen=True)
class Later(State):
    more: int = 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "streams.py").write_text(STREAMS)
    assert main([str(tmp_path)]) == 0
    return tmp_path


def folding(evolve: Callable[[int, Any], int]) -> Decider[int, Any, Any]:
    return Decider("hold", 0, lambda _, __: [], evolve)


def summed(now: int, said: CreditsReserved) -> int:
    return now + said.amount


def test_a_kept_stream_folds_to_what_was_kept(folder: Path) -> None:
    [kept] = kept_in(folder)
    assert kept.faults(ServiceName.BILLING, [folding(summed)]) == []
    assert orjson.loads(kept.state_path.read_bytes()) == {"state": 5, "version": 2}


def test_another_fold_is_noticed(folder: Path) -> None:
    [kept] = kept_in(folder)
    last = folding(lambda _, said: int(said.amount))
    assert kept.faults(ServiceName.BILLING, [last]) == ["state: was 5, is 3"]


@pytest.mark.parametrize(
    ("old", "new"), [(b'"amount":2', b'"amount":4'), (b'"version":2', b'"version":3'), (b'"key-', b'"kex-')]
)
def test_a_changed_row_is_noticed(folder: Path, old: bytes, new: bytes) -> None:
    [kept] = kept_in(folder)
    content = kept.path.read_bytes()
    assert old in content
    kept.path.write_bytes(content.replace(old, new))
    assert any(fault.startswith("hold-") for fault in kept.faults(ServiceName.BILLING, [folding(summed)]))


def test_a_lost_row_is_noticed(folder: Path) -> None:
    [kept] = kept_in(folder)
    kept.path.write_bytes(kept.path.read_bytes().splitlines(keepends=True)[0])
    assert "version: was 2, is 1" in kept.faults(ServiceName.BILLING, [folding(summed)])


def test_nothing_is_written_over_and_rows_are_the_same_at_every_run(folder: Path) -> None:
    [kept] = kept_in(folder)
    rows, state = kept.path.read_bytes(), kept.state_path.read_bytes()
    kept.state_path.write_bytes(b"other")
    assert main([str(folder)]) == 0
    assert (kept.path.read_bytes(), kept.state_path.read_bytes()) == (rows, b"other")
    kept.state_path.unlink()
    assert missing(folder) == {kept.state_path: state}
    kept.path.unlink()
    assert missing(folder) == {kept.path: rows, kept.state_path: state}


def test_a_state_kept_anew_is_of_the_kept_rows_not_of_todays(folder: Path) -> None:
    [kept] = kept_in(folder)
    kept.state_path.unlink()
    (folder / "streams.py").write_text(STREAMS.replace("amount=2", "amount=9"))
    assert orjson.loads(missing(folder)[kept.state_path])["state"] == 5


def test_events_that_no_stream_has_are_named(folder: Path) -> None:
    assert untold(folder, CreditsReserved, CreditsCaptured) == set()
    assert untold(folder, HoldEvent) == {"CreditsRefused", "CreditsReleased"}
    assert untold(folder, CreditsReserved | CreditsCaptured) == set()


def test_a_state_is_told_the_same_way_at_every_run() -> None:
    told = plain(State())
    assert told["ids"] == [str(UUID(int=1)), str(UUID(int=2))]
    assert told["inner"] == {"at": "2026-11-23T12:00:00Z", "steps": {"finalize": 1}}
    with pytest.raises(TypeError):
        plain(object())


def test_fields_that_a_state_has_gained_are_not_compared() -> None:
    assert list(differences(plain(State()), Later(), "state")) == []
    assert list(differences(plain(Later()), State(), "state")) == ["state.more: is gone"]


@pytest.mark.parametrize(
    ("other", "where"),
    [
        (State(ids=frozenset()), "state.ids"),
        (State(inner=None), "state.inner"),
        (State(inner=Inner(at=NOON + timedelta(microseconds=1))), "state.inner.at"),
        (State(inner=Inner(steps={})), "state.inner.steps.finalize"),
        (State(inner=Inner(steps={Step.FINALIZE: 1, Step.UPLOAD_TO_S3: 1})), "state.inner.steps.upload_to_s3"),
        (State(inner=Inner(steps={Step.FINALIZE: 2})), "state.inner.steps.finalize"),
        (State(parts=("a",)), "state.parts"),
        (State(parts=("a", "c")), "state.parts[1]"),
    ],
)
def test_each_difference_of_a_state_is_named(other: State, where: str) -> None:
    [fault] = differences(plain(State()), other, "state")
    assert fault.startswith(f"{where}:")


def test_a_difference_within_an_event_of_a_state_is_named() -> None:
    said = CreditsReserved(account_id=UUID(int=1), at=NOON, deployment_id=UUID(int=2), amount=2)
    kept = plain(State(said=said))
    assert list(differences(kept, State(said=said), "state")) == []
    other = replace(State(), said=said.model_copy(update={"amount": 3}))
    assert list(differences(kept, other, "state")) == ["state.said.amount: was 2, is 3"]


def test_kept_streams_are_found_by_name(folder: Path) -> None:
    assert kept_in(folder) == [Kept(folder / "total.jsonl")]
