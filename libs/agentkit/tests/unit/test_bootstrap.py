"""How the agent's handler is called, whatever shape it has."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.runtime.bootstrap import call, load, show, told

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


def raised_by(source: str, path: Path) -> BaseException:
    """What running this module raises, with this file's frames around it."""
    path.write_text(source)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - any
        exec(compile(source, path, "exec"))  # noqa: S102 - it is the test's own
    return caught.value


def test_a_traceback_begins_with_the_agents_own_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "main.py"
    show(raised_by("import json\njson.loads('{')\n", path), str(tmp_path))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{path}", line 2, in <module>']
    assert "decoder.py" in lines[-3] + lines[-4] + lines[-5]
    assert lines[-1].startswith("json.decoder.JSONDecodeError: ")


def test_without_a_line_of_the_agent_there_are_no_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = raised_by("def (\n", tmp_path / "main.py")
    show(error, str(tmp_path))
    assert capsys.readouterr().err.splitlines()[0] == f'  File "{tmp_path}/main.py", line 1'
    assert told(error, str(tmp_path)) == "SyntaxError: invalid syntax (main.py, line 1)"


def test_an_error_is_told_by_its_last_line() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        load("no_such_module_here:handler")
    assert told(caught.value, "/nowhere") == "ModuleNotFoundError: No module named 'no_such_module_here'"
