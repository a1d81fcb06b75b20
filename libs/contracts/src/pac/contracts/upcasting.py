"""How events of earlier versions are read: step by step up to the version that the code knows, on parsed data.

What is stored, hashed and proved is what was said then; only what is read is upcast. The rules for changing an event
are in `docs/decisions/0007-how-an-event-evolves.md`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter

from pac.contracts.base import Event
from pac.contracts.topics import ServiceName, event_types

E = TypeVar("E", bound=Event)
Data = dict[str, Any]
Upcast = Callable[[Data], Data]  # pure; gets the data of one version, gives the data of the next


class NewerThanKnown(RuntimeError):  # noqa: N818 - says what the event is
    """An event of a version that this code does not know. To guess what it means would be worse than to stop."""

    def __init__(self, kind: str, version: int, known: int) -> None:
        super().__init__(f"{kind} is of version {version}, and this release knows {known}: it needs a later release")
        self.kind, self.version, self.known = kind, version, known


@dataclass(frozen=True)
class Upcasters:
    """`known`: type → its version in the code. `steps`: (type, version) → how its data becomes the next version's."""

    known: Mapping[str, int]
    steps: Mapping[tuple[str, int], Upcast] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A gap would only be met when the first old event is read: refused at the start of the process instead."""
        needed = {(kind, version) for kind, known in self.known.items() for version in range(1, known)}
        if missing := sorted(needed - self.steps.keys()):
            raise ValueError(f"no upcaster for {missing}")
        if idle := sorted(self.steps.keys() - needed):
            raise ValueError(f"upcasters that nothing needs: {idle}")

    @classmethod
    def of(cls, kinds: Iterable[type[Event]], steps: Mapping[tuple[str, int], Upcast]) -> "Upcasters":
        return cls({kind.__name__: kind.data_version for kind in kinds}, steps)

    def read(self, adapter: TypeAdapter[E], data: bytes | str, version: int) -> E:
        """The event that `data`, JSON of that version, means today. Raises NewerThanKnown and ValidationError."""
        if version == 1 and not self.steps:
            return adapter.validate_json(data)  # every type is at its first version
        kind, parsed = _parsed(data)
        known = self.known.get(kind, version)  # a type that nobody knows is the adapter's to refuse
        if version > known:
            raise NewerThanKnown(kind, version, known)
        if version == known:
            return adapter.validate_json(data)
        for before in range(version, known):
            parsed = self.steps[kind, before](parsed)
        return adapter.validate_json(orjson.dumps(parsed))


def _parsed(data: bytes | str) -> tuple[str, Data]:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        return "", {}
    return str(parsed.get("type", "")), parsed


# One line a step, as soon as an event has a second version:  ("PackageStored", 1): package_stored_2,
UPCASTERS = Upcasters.of((kind for service in ServiceName for kind in event_types(service)), {})
