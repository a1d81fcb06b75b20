"""How well secrets are found, counted over labelled lines; and that what is found is never told."""

from collections import Counter

import pytest

from pac.agentkit.apkg import Limits
from pac.agentkit.apkg.env import find_env
from pac.agentkit.environment import parse_dotenv
from pac.testkit.env_lines import AWS, BEGIN, NONE, SK, VENDOR, Labelled, env_lines

LINES = tuple(env_lines())
PRECISION = 0.95
RECALL_OF_VENDORS = 0.95


def found(line: str) -> bool:
    warnings = find_env(frozenset({".env"}), lambda _: line.encode(), Limits()).warnings
    return "secret_like_value" in {warning.code for warning in warnings}


def test_there_are_three_hundred_lines_of_every_kind() -> None:
    assert len(LINES) >= 300
    kinds = Counter(labelled.kind for labelled in LINES)
    assert min(kinds[kind] for kind in (SK, AWS, BEGIN)) >= 14
    assert kinds[VENDOR] >= 60
    assert kinds[NONE] >= 150


@pytest.mark.parametrize("kind", [SK, AWS, BEGIN])
def test_every_secret_of_the_specifications_kinds_is_found(kind: str) -> None:
    assert [labelled.line for labelled in LINES if labelled.kind == kind and not found(labelled.line)] == []


def test_hardly_anything_else_is_called_a_secret() -> None:
    told = [labelled for labelled in LINES if found(labelled.line)]
    wrong = [labelled.line for labelled in told if labelled.kind == NONE]
    assert 1 - len(wrong) / len(told) >= PRECISION, wrong


def test_nearly_every_vendors_key_is_found() -> None:
    vendors = [labelled for labelled in LINES if labelled.kind == VENDOR]
    missed = [labelled.line for labelled in vendors if not found(labelled.line)]
    assert 1 - len(missed) / len(vendors) >= RECALL_OF_VENDORS, missed


@pytest.mark.parametrize("labelled", [one for one in LINES if one.kind != NONE], ids=lambda one: one.line[:20])
def test_no_value_is_ever_told(labelled: Labelled) -> None:
    data = labelled.line.encode()
    told = repr(find_env(frozenset({".env"}), lambda _: data, Limits()))
    for value in parse_dotenv(data).values():
        assert value not in told
