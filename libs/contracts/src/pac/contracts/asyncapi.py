"""Writes the AsyncAPI 3.0 document of all topics: `python -m pac.contracts.asyncapi [--check] FILE`.

A writer of our own, not FastStream's: that one describes what is registered with its broker in one process. PAC's
subscriber takes raw records there and its publisher is the relay, so FastStream would see bytes: neither the union of
types that a topic carries, nor the CloudEvents headers that tell them apart. Both stand in `topics.py`, `envelope.py`
and the events themselves, and are taken from there. Who listens is not said: a contract does not know its readers.
Partitions and retention are `deploy/topics.toml`'s.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic.json_schema import models_json_schema

from pac.contracts.base import Event
from pac.contracts.envelope import CONTENT_TYPE
from pac.contracts.examples import example
from pac.contracts.topics import ServiceName, event_types

Document = dict[str, Any]
KAFKA_BINDING: Final = "0.5.0"
UUID: Final[Document] = {"type": "string", "format": "uuid"}
NUMBER: Final[Document] = {"type": "string", "pattern": "^[1-9][0-9]*$"}
HEADERS: Final[dict[str, Document]] = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {**UUID, "description": "Of this event, in every copy of it"},
    "ce_type": {"type": "string", "description": "The name of the event's type"},
    "ce_source": {"type": "string", "enum": list(ServiceName), "description": "The service whose log it is in"},
    "ce_subject": {"type": "string", "description": "Its stream, such as deployment-<uuid>"},
    "ce_time": {"type": "string", "format": "date-time", "description": "RFC 3339, UTC"},
    "ce_dataversion": {**NUMBER, "description": "The version of the type"},
    "ce_sequence": {**NUMBER, "description": "Its place in the stream; 1, 2, 3 without a gap"},
    "ce_actor": {"type": "string", "description": "An opaque id: key-<uuid>, user-<uuid>, operator"},
    "ce_correlationid": {**UUID, "description": "Shared by all that one request has set off"},
    "ce_causationid": {**UUID, "description": "The event that this one answers, if it answers one"},
    "traceparent": {"type": "string", "description": "W3C Trace Context"},
    "content-type": {"type": "string", "const": CONTENT_TYPE},
}
OPTIONAL: Final = ("ce_causationid", "traceparent")
KEY: Final[Document] = {
    "type": "string",
    "description": "What follows the first dash of ce_subject: the deployment's id for each stream of a deployment. "
    "Order holds within one key of one topic, and nowhere else.",
}


def document() -> Document:
    kinds = [kind for service in ServiceName for kind in event_types(service)]
    _, schemas = models_json_schema([(kind, "validation") for kind in kinds], ref_template=ref("schemas", "{model}"))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "PAC: events",
            "version": version("pac-contracts"),
            "description": "Facts that PAC's services publish: CloudEvents 1.0 in Kafka, binary content mode. One "
            "topic per service; at least once, so readers go by ce_source, ce_subject and ce_sequence. How events "
            "change from release to release: docs/decisions/0007.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            **{service.topic: said_by(service) for service in ServiceName},
            **{service.dead_letters: set_aside_by(service) for service in ServiceName},
        },
        "operations": {
            **{f"{service.value}-says": operation(service.topic) for service in ServiceName},
            **{f"{service.value}-sets-aside": operation(service.dead_letters) for service in ServiceName},
        },
        "components": {
            "messages": {
                **{kind.__name__: message(service, kind) for service in ServiceName for kind in event_types(service)},
                "DeadLetter": dead_letter(),
            },
            "schemas": {**schemas["$defs"], "EventHeaders": event_headers()},
            "correlationIds": {"correlation": {"location": "$message.header#/ce_correlationid"}},
        },
    }


def ref(*path: str) -> str:
    return "/".join(("#/components", *path))


def kafka(**binding: Any) -> Document:
    return {"kafka": {**binding, "bindingVersion": KAFKA_BINDING}}


def said_by(service: ServiceName) -> Document:
    return {
        "address": service.topic,
        "title": f"Events of {service.value}",
        "description": f"The log of {service.value}, in order within each key.",
        "messages": {kind.__name__: {"$ref": ref("messages", kind.__name__)} for kind in event_types(service)},
        "bindings": kafka(topic=service.topic),
    }


def set_aside_by(service: ServiceName) -> Document:
    return {
        "address": service.dead_letters,
        "title": f"What {service.value} could not handle",
        "description": "Copies for people to look at; the message itself waits in the service (`pac dlq list`).",
        "messages": {"DeadLetter": {"$ref": ref("messages", "DeadLetter")}},
        "bindings": kafka(topic=service.dead_letters),
    }


def operation(channel: str) -> Document:
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}}


def message(service: ServiceName, kind: type[Event]) -> Document:
    schema = kind.model_json_schema()
    told = {"ce_type": kind.__name__, "ce_source": service.value, "ce_dataversion": str(kind.data_version)}
    said: Document = {
        "name": kind.__name__,
        "title": f"{kind.__name__}, version {kind.data_version}",
        "contentType": CONTENT_TYPE,
        "headers": {
            "allOf": [
                {"$ref": ref("schemas", "EventHeaders")},
                {"type": "object", "properties": {name: {"const": value} for name, value in told.items()}},
            ]
        },
        "payload": {"$ref": ref("schemas", kind.__name__)},
        "correlationId": {"$ref": ref("correlationIds", "correlation")},
        "bindings": kafka(key=KEY),
        "examples": [{"name": kind.__name__, "payload": example(schema, schema)}],
    }
    return {**said, "description": kind.__doc__} if kind.__doc__ else said


def event_headers() -> Document:
    return {
        "type": "object",
        "properties": HEADERS,
        "required": [name for name in HEADERS if name not in OPTIONAL],
    }


def dead_letter() -> Document:
    """Whatever came, with its own headers, which may be none of an event."""
    return {
        "name": "DeadLetter",
        "title": "A message that could not be handled",
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                "pac_reason": {"type": "string", "description": "What was wrong with it; never its data"},
                "pac_origin": {"type": "string", "description": "topic/partition/offset"},
            },
            "required": ["pac_reason", "pac_origin"],
        },
        "payload": {},
    }


def content() -> bytes:
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2) + b"\n"


def main(arguments: list[str]) -> int:
    path = Path(next(argument for argument in arguments if not argument.startswith("--")))
    if "--check" not in arguments:
        path.write_bytes(content())
    elif not path.exists() or path.read_bytes() != content():
        sys.stderr.write(f"{path} is not what the code says: run `make generate` and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
