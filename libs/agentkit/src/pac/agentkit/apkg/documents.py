"""Parses the JSON and YAML of strangers: bounded, no duplicates, no aliases that multiply."""

import json
import re
from typing import Any

import yaml

ALIASES = 20
DEPTH = 50
NODES = 2_000
NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # neither Postgres nor a process can hold these


class BadDocument(ValueError):  # noqa: N818 - it says what is bad, as a name
    """The document cannot be read; the text says where, in one line, and quotes nothing of it."""


def parse_json(text: str) -> object:
    try:
        return _text_only(json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant))
    except json.JSONDecodeError as error:
        raise BadDocument(f"it is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise BadDocument("it is nested too deeply") from None
    except BadDocument:
        raise
    except ValueError:
        raise BadDocument("it holds a number that is too long") from None


def parse_yaml(text: str) -> object:
    try:
        document: object = yaml.load(text, Loader=_BoundedLoader)  # noqa: S506 - derived from SafeLoader, see below
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise BadDocument(f"it is not YAML{where}") from None
    except yaml.YAMLError:
        raise BadDocument("it is not YAML") from None
    except RecursionError:
        raise BadDocument("it is nested too deeply") from None
    except BadDocument:
        raise
    except (ValueError, TypeError, OverflowError):
        raise BadDocument("it holds a value that YAML cannot read") from None
    return _text_only(document)


class _BoundedLoader(yaml.SafeLoader):
    """SafeLoader that counts aliases, nodes and depth, and refuses a key given twice."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._aliases = self._nodes = self._depth = 0

    def fetch_flow_collection_start(self, TokenClass: type[yaml.Token]) -> None:  # noqa: N803 - PyYAML's signature
        if self.flow_level >= DEPTH:  # the scanner reads far ahead of the nodes, and slowly where it is deep
            raise BadDocument("it is nested too deeply or holds too many values")
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._aliases += self.check_event(yaml.AliasEvent)
        self._nodes += 1
        self._depth += 1
        if self._aliases > ALIASES:
            raise BadDocument(f"it uses more than {ALIASES} aliases")
        if self._nodes > NODES or self._depth > DEPTH:
            raise BadDocument("it is nested too deeply or holds too many values")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise BadDocument(f"it holds a key twice (line {node.start_mark.line + 1})")
        return super().construct_mapping(node, deep)


def _text_only(document: object) -> object:
    """The document, if every text in it is one. Aliases may make it a graph, so each part is looked at once."""
    seen: set[int] = set()
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str) and NO_TEXT.search(part):
            raise BadDocument("it holds a character that is no text")
        if isinstance(part, dict | list) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend((*part.keys(), *part.values()) if isinstance(part, dict) else part)
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadDocument("it holds a key twice")
    return found


def _no_constant(_: str) -> object:
    raise BadDocument("it holds a number that JSON does not know")
