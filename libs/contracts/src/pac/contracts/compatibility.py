"""Refuses a change of the events that the last release could not live with: its log, and its readers of our topics.

`python -m pac.contracts.compatibility FOLDER` compares the schemas of the last release in FOLDER with today's; with
`--release VERSION` today's become those of that release. What may change: docs/decisions/0007.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from pac.contracts.breaks import Schema, breaks
from pac.contracts.schemas import schemas

RELEASE = "RELEASE"  # the file that says which release the folder holds
Versioned = tuple[str, int]  # `billing/CreditsReserved`, 1


def released(folder: Path) -> dict[str, Schema]:
    return {str(path.relative_to(folder)): orjson.loads(path.read_bytes()) for path in sorted(folder.rglob("*.json"))}


def today() -> dict[str, Schema]:
    return {name: orjson.loads(content) for name, content in schemas().items()}


def versioned(name: str) -> Versioned:
    """`billing/CreditsReserved.v1.json` → (`billing/CreditsReserved`, 1)."""
    kind, _, version = name.removesuffix(".json").rpartition(".v")
    return kind, int(version)


def faults(before: Mapping[str, Schema], now: Mapping[str, Schema]) -> Iterator[str]:
    """One line a fault, with the event, the field and what is wrong with it."""
    newest = dict(versioned(name) for name in now)
    for name, schema in before.items():
        kind, version = versioned(name)
        if kind not in newest:
            yield f"{kind}: the event is gone; logs hold it, so it must be read for ever"
        elif version > newest[kind]:
            yield f"{kind}: version {version} was released, and today's is {newest[kind]}"
        elif version == newest[kind]:
            yield from (f"{kind}.{fault}".replace(".:", ":", 1) for fault in breaks(schema, now[name]))
        # An older version needs an upcaster, without which no process starts (`Upcasters`).


def record(folder: Path, version: str) -> None:
    for name, content in schemas().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / RELEASE).write_text(f"{version}\n")


def main(arguments: list[str]) -> int:
    match arguments:
        case [folder] | ["--release", _, folder] if not folder.startswith("-"):
            place = Path(folder)
        case _:
            sys.stderr.write("python -m pac.contracts.compatibility [--release VERSION] FOLDER\n")
            return 2
    before = released(place)
    if len(arguments) == 1 and not before:
        sys.stderr.write(f"{place} holds no released schemas\n")
        return 2
    found = list(faults(before, today()))
    for fault in found:
        sys.stderr.write(f"{fault}\n")
    if found:
        release = (place / RELEASE).read_text().strip()
        sys.stderr.write(f"Release {release} could not live with this. How an event may change: docs/decisions/0007\n")
        return 1
    if len(arguments) > 1:
        record(place, arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
