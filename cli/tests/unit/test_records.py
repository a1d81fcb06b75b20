"""After a supervisor was killed, exactly its processes are ended."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pac.cli.local.process import started_at
from pac.cli.local.records import Record, Records, end_leftovers, until

SLEEPER = "import signal; signal.pause()"
DEAF_WITH_CHILD = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
print(child.pid, flush=True)
signal.pause()
"""


def spawn(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)


def record_of(process: "subprocess.Popen[str]", name: str = "one") -> Record:
    started = started_at(process.pid)
    assert started is not None
    return Record(name, process.pid, started, int(signal.SIGTERM))


async def ended(process: "subprocess.Popen[str]") -> int:
    """Waits like a parent should; a zombie would be gone for us and there for the system."""
    assert process.stdout is not None
    process.stdout.close()
    return await asyncio.wait_for(asyncio.to_thread(process.wait), 10)


async def test_a_leftover_is_ended_with_its_stop_signal(tmp_path: Path) -> None:
    records = Records(tmp_path / "processes.json")
    process = spawn(SLEEPER)
    records.add(record_of(process))
    assert [record.name for record in await end_leftovers(records)] == ["one"]
    assert await ended(process) == -signal.SIGTERM
    assert records.read() == []


async def test_a_process_with_the_same_pid_and_another_start_is_not_ours(tmp_path: Path) -> None:
    records = Records(tmp_path / "processes.json")
    process = spawn(SLEEPER)
    records.add(replace(record_of(process), started="another boot:1"))
    assert await end_leftovers(records) == []
    assert process.poll() is None
    assert records.read() == []
    process.kill()
    await ended(process)


async def test_a_leftover_that_does_not_listen_is_killed_with_all_below_it(tmp_path: Path) -> None:
    records = Records(tmp_path / "processes.json")
    process = spawn(DEAF_WITH_CHILD)
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    records.add(record_of(process))
    await end_leftovers(records, timeout_seconds=0.3)
    assert await ended(process) == -signal.SIGKILL
    assert await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)


async def test_a_stopped_leftover_is_woken_to_end(tmp_path: Path) -> None:
    records = Records(tmp_path / "processes.json")
    process = spawn(SLEEPER)
    records.add(record_of(process))
    os.kill(process.pid, signal.SIGSTOP)
    await end_leftovers(records, timeout_seconds=5)
    assert await ended(process) == -signal.SIGTERM


async def test_the_last_started_is_ended_first(tmp_path: Path) -> None:
    records = Records(tmp_path / "processes.json")
    processes = [spawn(SLEEPER) for _ in range(3)]
    for number, process in enumerate(processes):
        records.add(record_of(process, str(number)))
    order: list[str] = []

    class Watched(Records):
        def remove(self, pid: int) -> None:
            order.extend(record.name for record in self.read() if record.pid == pid)
            super().remove(pid)

    await end_leftovers(Watched(records.path))
    assert order == ["2", "1", "0"]
    for process in processes:
        await ended(process)


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', '[{"pid": 1}]', "[1]"])
async def test_a_file_that_is_not_ours_ends_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "processes.json"
    path.write_text(content)
    assert await end_leftovers(Records(path)) == []


async def test_a_start_time_tells_two_lives_apart() -> None:
    child = spawn(SLEEPER)
    assert started_at(os.getpid()) == started_at(os.getpid())
    assert started_at(os.getpid()) != started_at(child.pid) is not None
    assert started_at(2**22 + 1) is None
    child.kill()
    await ended(child)
    assert started_at(child.pid) is None


def test_a_zombie_is_not_alive() -> None:
    process = spawn("pass")
    assert process.stdout is not None
    process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert started_at(process.pid) is None
    process.wait()
    process.stdout.close()
