"""An example of every version of every event, kept for ever: `python -m pac.contracts.golden [--check] FOLDER`.

Adds what is missing and never writes over what is there. When a type has gained a field, another example of the same
version is added beside the first: `PackageStored.v1-2.json`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pac.contracts.base import Event
from pac.contracts.examples import example, fields, fields_set
from pac.contracts.topics import EVENTS_OF, ServiceName, event_types
from pac.contracts.upcasting import UPCASTERS, Upcasters


@dataclass(frozen=True)
class Golden:
    """One file. `data` is what an event of that version said, and will be read as for ever."""

    path: Path
    service: ServiceName
    kind: str
    version: int
    data: dict[str, Any]

    def read(self, upcasters: Upcasters = UPCASTERS) -> Event:
        event = upcasters.read(EVENTS_OF[self.service], orjson.dumps(self.data), self.version)
        assert isinstance(event, Event)
        return event


def goldens(folder: Path) -> Iterator[Golden]:
    for path in sorted(folder.glob("*/*.json")):
        kind, _, version = path.stem.partition(".v")
        service = ServiceName(path.parent.name)
        yield Golden(path, service, kind, int(version.partition("-")[0]), orjson.loads(path.read_bytes()))


def missing(folder: Path) -> Iterator[Golden]:
    """Of every type at its version, the example that would show the fields that none shows yet."""
    there = list(goldens(folder))
    for service in ServiceName:
        for kind in event_types(service):
            name, version, schema = kind.__name__, kind.data_version, kind.model_json_schema()
            known = [each for each in there if (each.service, each.kind, each.version) == (service, name, version)]
            if fields(schema, schema) - {field for each in known for field in fields_set(each.data)}:
                suffix = f"-{len(known) + 1}" if known else ""
                path = folder / service.value / f"{name}.v{version}{suffix}.json"
                yield Golden(path, service, name, version, example(schema, schema))


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    folder = Path(next(argument for argument in arguments if not argument.startswith("--")))
    lacking = list(missing(folder))
    for golden in lacking:
        golden.read()  # an example that is no event is not kept
        if check:
            sys.stderr.write(f"{golden.path} is missing: run `make generate` and commit the result\n")
            continue
        golden.path.parent.mkdir(parents=True, exist_ok=True)
        with golden.path.open("xb") as file:
            file.write(orjson.dumps(golden.data, option=orjson.OPT_INDENT_2) + b"\n")
    return 1 if check and lacking else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
