"""The questions `pac doctor` asks, and their answers."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from pac.cli.local.environment import Own, Ports
from pac.cli.local.errors import Expected
from pac.cli.local.jars import Program
from pac.cli.local.kafka import PROGRAM as KAFKA
from pac.cli.local.ports import holder_of, is_free
from pac.cli.local.running import Running
from pac.cli.local.runtime_home import abandoned
from pac.cli.local.s3 import PROGRAM as S3
from pac.cli.local.stack import cache_folder

GIB = 1024**3
OLDEST_PYTHON = (3, 11)
DISK_NEEDED, DISK_WISHED = 1 * GIB, 5 * GIB
MEMORY_NEEDED, MEMORY_WISHED = 1 * GIB, 2 * GIB


class Verdict(StrEnum):
    GOOD = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """`mend`: the command that helps; empty when nothing is wrong."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""


def examine(state_dir: Path, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    cache = cache_folder(environment)
    running = Running.at(state_dir)
    is_running = running is not None and running.is_running()
    return [
        python(),
        disk(state_dir),
        memory(psutil.virtual_memory().available, is_running=is_running),
        *(cached(program, cache) for program in (KAFKA, S3)),
        *ports(Own(environment), is_running=is_running),
        *leftovers(running),
    ]


def python(found: tuple[int, int] = sys.version_info[:2]) -> Finding:
    text = ".".join(map(str, found))
    if found < OLDEST_PYTHON:
        return Finding("python", Verdict.BAD, f"{text} is too old", "uv python install 3.11")
    return Finding("python", Verdict.GOOD, text)


def disk(folder: Path) -> Finding:
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    verdict = Verdict.BAD if free < DISK_NEEDED else Verdict.WARNING if free < DISK_WISHED else Verdict.GOOD
    mend = "" if verdict is Verdict.GOOD else "pac up --state-dir DIR (on a larger disk)"
    return Finding("disk", verdict, f"{free / GIB:.1f} GiB free at {place}", mend)


def memory(available: int, *, is_running: bool) -> Finding:
    found = f"{available / GIB:.1f} GiB available"
    if is_running or available >= MEMORY_WISHED:
        return Finding("memory", Verdict.GOOD, found)
    verdict = Verdict.BAD if available < MEMORY_NEEDED else Verdict.WARNING
    return Finding("memory", verdict, found, "ps aux --sort=-rss | head (and end what is not needed)")


def cached(program: Program, cache: Path) -> Finding:
    folder = program.folder(cache)
    if folder.is_dir():
        return Finding(f"cache: {program.name}", Verdict.GOOD, str(folder))
    return Finding(f"cache: {program.name}", Verdict.WARNING, "not downloaded yet; needs the network once", "pac up")


def ports(own: Own, *, is_running: bool) -> Iterator[Finding]:
    try:
        chosen = Ports.choose(own, lambda _: 0).chosen(own)
    except Expected as error:
        yield Finding("ports", Verdict.BAD, f"{error.advice.what}: {error.advice.why}", error.advice.next_command)
        return
    for name, port in chosen.items():
        if is_free(port):
            yield Finding(f"port {port}", Verdict.GOOD, f"free, for {name}")
        elif is_running:
            yield Finding(f"port {port}", Verdict.GOOD, "in use; PAC is running")
        else:
            holder = holder_of(port)
            who = f"held by {holder}" if holder else "held by a process of another user"
            end = f"kill {holder.pid}  or  " if holder else ""
            yield Finding(f"port {port}", Verdict.BAD, f"{who}; {name} needs it", f"{end}{name}={port + 1} pac up")


def leftovers(running: Running | None) -> Iterator[Finding]:
    if running is not None and not running.is_running():
        left = [record for record in running.state.records.read() if record.is_alive()]
        if left:
            names = ", ".join(f"{record.name} (pid {record.pid})" for record in left)
            yield Finding("leftovers", Verdict.WARNING, names, f"pac down --state-dir {running.state.path}")
    for folder in abandoned():
        yield Finding("leftovers", Verdict.WARNING, f"{folder}: its state folder is gone", f"rm -r {folder}")
