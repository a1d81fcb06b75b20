"""`pac bench` as a user starts it; shapes only, because a busy machine has no figures."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

FIELDS = ["name", "unit", "value", "peer", "peer_value", "ratio", "runs"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of our own, so that it can be seen to be empty; not tmp_path, which PostgreSQL's account cannot reach."""
    with tempfile.TemporaryDirectory(prefix="test-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def bench(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pac.cli",
        "bench",
        *arguments,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.timeout(300)  # a process for each package of the corpus, and servers
async def test_results_are_lines_of_json_and_nothing_is_left(folder: Path) -> None:
    tiny = ("--rounds", "1", "--seconds", "0.05", "--events", "300", "-o", "json")
    process = await bench(folder, "bombs", "append", "fold", *tiny)
    out, err = await asyncio.wait_for(process.communicate(), 280)
    assert process.returncode == 0, err.decode()
    found = [json.loads(line) for line in out.decode().splitlines()]
    assert all(list(one) == FIELDS for one in found)
    names = [one["name"] for one in found]
    assert names[:2] == ["bombs.milliseconds", "bombs.mebibytes"]
    assert names[2:] == ["append.1"] * 2 + ["append.8"] * 3 + ["append.32"] * 2 + ["fold"]
    assert len({(one["name"], one["peer"]) for one in found}) == len(found)
    assert all(one["runs"] == 1 and min(one["value"], one["peer_value"], one["ratio"]) > 0 for one in found)
    assert not list(folder.iterdir())


async def test_interrupted_it_ends_its_servers(folder: Path) -> None:
    process = await bench(folder, "append", "--rounds", "1000")
    assert process.stderr is not None
    while (line := await asyncio.wait_for(process.stderr.readline(), 90)) and not line.startswith(b"append"):
        pass
    servers = psutil.Process(process.pid).children(recursive=True)
    assert any("postgres" in one.name() for one in servers)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 30) == 130
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in servers)
    assert not list(folder.iterdir())
