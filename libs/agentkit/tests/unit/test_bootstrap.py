"""How the agent's handler is called, whatever shape it has."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import pytest

from pac.agentkit.runtime.bootstrap import call, load, told

REQUEST = {"id": 1, "action": "tell", "context": {"text": "one"}}
WHOLE = {"action": "tell", "data": {"text": "one"}, "context": {"text": "one"}}


async def slow(context: object) -> object:
    await asyncio.sleep(0)
    return context


def optional(context: object, verbose: object = None) -> object:
    return context if verbose is None else verbose


class Caller:
    def __call__(self, context: object) -> object:
        return context


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (lambda context: context, WHOLE),
        (lambda: "nothing asked", "nothing asked"),
        (lambda action, context: [action, context], ["tell", {"text": "one"}]),
        (optional, WHOLE),
        (lambda *all_of_it: list(all_of_it), [WHOLE]),
        (slow, WHOLE),
        (lambda context: slow(context), WHOLE),  # noqa: PLW0108 - a plain function that returns an awaitable
        (Caller(), WHOLE),
        (dict, WHOLE),
    ],
)
async def test_handlers_of_every_shape_are_called(handler: Callable[..., Any], answer: object) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert await call(handler, REQUEST, pool) == answer


def test_an_entrypoint_is_found_or_told() -> None:
    assert load("os.path:join")("a", "b") == "a/b"
    with pytest.raises(TypeError, match="cannot be called"):
        load("os:sep")
    with pytest.raises(AttributeError):
        load("os:nothing")


def test_an_error_is_told_by_its_last_line() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        load("no_such_module_here:handler")
    assert told(caught.value, "/nowhere") == "ModuleNotFoundError: No module named 'no_such_module_here'"
