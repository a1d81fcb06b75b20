"""Streams kept as rows of the log, and the states they folded to: `python -m pac.testkit.golden FOLDER…`

A folder has `streams.py`, whose STORIES say what happened by name; `<name>.jsonl`, the rows, hashes included; and
`<name>.state.json`. What is missing is added, by the code of today; nothing is written over. To record a state anew on
purpose, delete it first: the rows stay, and the difference is there to be reviewed.
"""

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid5

import orjson
from pydantic import BaseModel

from pac.contracts.base import Event, iso
from pac.contracts.topics import ServiceName
from pac.eventlog.record import GENESIS, chained
from pac.eventlog.transaction import folded
from pac.eventlog.types import Decider, Recorded
from pac.eventlog.verify import first_fault

ROW = ("stream", "version", "type", "data", "metadata", "at", "hash")
AnyDecider = Decider[Any, Any, Any]


@dataclass(frozen=True)
class Story:
    """What was asked of one stream, in order."""

    service: ServiceName
    decider: AnyDecider
    stream_id: UUID
    commands: Sequence[Any]

    def events(self) -> list[Event]:
        events: list[Event] = []
        for command in self.commands:
            events += self.decider.decide(self.decider.fold(events), command)
        return events

    def rows(self) -> Iterator[dict[str, Any]]:
        """As the log would keep them, under ids that are the same at every run."""
        stream, digest = self.decider.stream(self.stream_id), GENESIS
        for version, event in enumerate(self.events(), start=1):
            data = event.model_dump(mode="json")
            metadata = {
                "id": str(uuid5(self.stream_id, f"{stream}/{version}")),
                "actor": "key-8e8f2f9b-14c7-4d6e-b1d3-52a9f0c7e312",
                "correlation_id": str(self.stream_id),
                "data_version": event.data_version,
            }
            digest = chained(
                digest, stream=stream, version=version, type_=event.type, data=data, metadata=metadata, at=event.at
            )
            values = (stream, version, event.type, data, metadata, iso(event.at), digest.hex())
            yield dict(zip(ROW, values, strict=True))


@dataclass(frozen=True)
class Kept:
    """One stream in a folder."""

    path: Path

    @property
    def state_path(self) -> Path:
        return self.path.with_suffix(".state.json")

    def rows(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.path.read_bytes().splitlines()]

    def folded(self, service: ServiceName, deciders: Sequence[AnyDecider]) -> Recorded[Any]:
        """Through the same code that loads a stream from Postgres."""
        rows = self.rows()
        [decider] = [each for each in deciders if rows[0]["stream"].startswith(f"{each.category}-")]
        as_loaded = [
            (
                row["version"],
                orjson.dumps(row["data"]).decode(),
                bytes.fromhex(row["hash"]),
                datetime.fromisoformat(row["at"]),
                row["metadata"]["data_version"],
            )
            for row in rows
        ]
        return folded(service, decider, as_loaded)

    def faults(self, service: ServiceName, deciders: Sequence[AnyDecider]) -> list[str]:
        """Where today's code differs from what was kept: in the chain of hashes, or in the state."""
        rows = self.rows()
        as_verified = [
            (
                *(row["stream"], row["version"], row["type"], orjson.dumps(row["data"]), orjson.dumps(row["metadata"])),
                *(datetime.fromisoformat(row["at"]), bytes.fromhex(row["hash"]), "3", number),
            )
            for number, row in enumerate(rows, start=1)
        ]
        broken = first_fault(rows[0]["stream"], as_verified)
        kept, now = orjson.loads(self.state_path.read_bytes()), self.folded(service, deciders)
        found = [str(broken)] if broken else []
        if kept["version"] != now.version:
            found.append(f"version: was {kept['version']}, is {now.version}")
        return found + list(differences(kept["state"], now.state, "state"))


def kept_in(folder: Path) -> list[Kept]:
    return [Kept(path) for path in sorted(folder.glob("*.jsonl"))]


def untold(folder: Path, *unions: Any) -> set[str]:
    """Types of these unions that no kept stream has."""
    told = {row["type"] for kept in kept_in(folder) for row in kept.rows()}
    return {kind.__name__ for union in unions for kind in _types(union)} - told


def _types(union: Any) -> tuple[type[Event], ...]:
    """Of `A | B`, of an annotated one, or of a single class."""
    parts: tuple[Any, ...] = get_args(union)
    if hasattr(union, "__metadata__"):
        return _types(parts[0])
    return parts or (union,)


def plain(value: Any) -> Any:
    """A state as JSON, the same at every run."""
    return orjson.loads(orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z))


def _plain(value: Any) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return dict(value)
        case frozenset() | set():
            return sorted((plain(each) for each in value), key=orjson.dumps)
        case _:
            raise TypeError(f"a state holds a {type(value).__name__}")


def differences(kept: Any, now: Any, where: str) -> Iterator[str]:
    """Fields that a state has gained since then are not compared; nobody could have kept them."""
    match kept, now:
        case dict(), Mapping():
            by_text = {str(plain(key)): each for key, each in now.items()}
            for name in sorted(kept.keys() ^ by_text.keys()):
                yield f"{where}.{name}: was {kept.get(name, 'absent')}, is {plain(by_text.get(name, 'absent'))}"
            for name in sorted(kept.keys() & by_text.keys()):
                yield from differences(kept[name], by_text[name], f"{where}.{name}")
        case dict(), _ if is_dataclass(now) or isinstance(now, BaseModel):
            for name, each in kept.items():
                if hasattr(now, name):
                    yield from differences(each, getattr(now, name), f"{where}.{name}")
                else:
                    yield f"{where}.{name}: is gone"
        case list(), tuple() | list() if len(kept) == len(now):
            for number, (each, other) in enumerate(zip(kept, now, strict=True)):
                yield from differences(each, other, f"{where}[{number}]")
        case _ if kept != plain(now):
            yield f"{where}: was {kept}, is {plain(now)}"
        case _:
            pass


def stories(folder: Path) -> dict[str, Story]:
    spec = importlib.util.spec_from_file_location("streams", folder / "streams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told: dict[str, Story] = module.STORIES
    return told


def missing(folder: Path) -> dict[Path, bytes]:
    """What `main` would add: file → content."""
    told = stories(folder)
    lacking: dict[Path, bytes] = {}
    for name, story in told.items():
        kept = Kept(folder / f"{name}.jsonl")
        if not kept.path.exists():
            lacking[kept.path] = b"".join(orjson.dumps(row) + b"\n" for row in story.rows())
        if not kept.state_path.exists():
            now: Recorded[Any]
            if kept.path.exists():
                now = kept.folded(story.service, [story.decider])
            else:
                events = story.events()
                now = Recorded(story.decider.fold(events), len(events))
            state = {"version": now.version, "state": plain(now.state)}
            lacking[kept.state_path] = orjson.dumps(state, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    return lacking


def main(folders: list[str]) -> int:
    for folder in folders:
        for path, content in missing(Path(folder)).items():
            with path.open("xb") as file:
                file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
