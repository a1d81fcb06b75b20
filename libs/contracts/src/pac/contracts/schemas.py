"""Writes the JSON Schema of every event, one file a type: `python -m pac.contracts.schemas [--check] FOLDER`."""

import sys
from pathlib import Path

import orjson

from pac.contracts.topics import ServiceName, event_types


def schemas() -> dict[str, bytes]:
    """File name → content, for every event of every service."""
    return {
        f"{service.value}/{kind.__name__}.v{kind.data_version}.json": orjson.dumps(
            kind.model_json_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
        )
        + b"\n"
        for service in ServiceName
        for kind in event_types(service)
    }


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    folder = Path(next(argument for argument in arguments if not argument.startswith("--")))
    wanted = schemas()
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.json")}
    if check:
        stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        for name in stale:
            sys.stderr.write(f"{folder / name} is not what the code says: run `make generate` and commit the result\n")
        return 1 if stale else 0
    for name in there.keys() - wanted.keys():
        (folder / name).unlink()
    for name, content in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
