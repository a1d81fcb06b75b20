"""docs/reference/events.md: every event, its topic, its fields, from the AsyncAPI document of the contracts.

`python -m pac.testkit.event_reference [--check] PATH`.
"""

import sys
from collections.abc import Iterator
from typing import Any

from pac.contracts.asyncapi import document
from pac.testkit.pages import main

Json = dict[str, Any]
HEAD = """\
# Events

Generated from `libs/contracts` by `make generate`; not to be edited. The whole, with schemas and examples, is the
AsyncAPI document [asyncapi.json](../../libs/contracts/asyncapi.json).

One topic for each service that says something; CloudEvents 1.0 in binary mode: `ce_id`, `ce_type`, `ce_source`,
`ce_subject` (the stream), `ce_time` are Kafka headers, the value is the JSON below. Order holds within a stream, and
nowhere else. An event may come more than once. A field that may be missing or null is marked `?`. How events change:
[decision 7](../decisions/0007-how-an-event-evolves.md).
"""


def page() -> str:
    return "\n".join([HEAD, *_topics(document())])


def _topics(known: Json) -> Iterator[str]:
    for topic, channel in known["channels"].items():
        rows = [f"| `{name}` | {_fields(known, name)} |" for name in channel["messages"] if _is_event(known, name)]
        if rows:
            yield "\n".join([f"## {topic}", "", "| event | fields |", "|---|---|", *rows, ""])


def _is_event(known: Json, name: str) -> bool:
    return "properties" in known["components"]["schemas"].get(name, {})


def _fields(known: Json, name: str) -> str:
    schema = known["components"]["schemas"][name]
    required = schema.get("required", ())
    names = (field for field in schema["properties"] if field != "type")
    return " ".join(f"`{field}`" if field in required else f"`{field}?`" for field in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
