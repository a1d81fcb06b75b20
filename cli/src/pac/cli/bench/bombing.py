"""What small packages that would grow without end cost whoever looks at them, beside what they may cost.

The packages are the corpus of the tests, which is there in a checkout only: other processes make them, and check them.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from pathlib import Path

from pac.cli.bench.ground import Ground
from pac.cli.bench.measuring import Options, Result
from pac.cli.local.errors import Expected

LIMITS = (("milliseconds", "ms of processor", 200.0), ("mebibytes", "MiB", 64.0))
WRITTEN = """
import sys
from pathlib import Path
from pac.testkit.corpus.bombs import BOMBS

for case in BOMBS:
    (Path(sys.argv[1]) / case.name.replace("/", "-")).write_bytes(case.raw())
"""
CHECKED = """
import json, sys, time
from pathlib import Path
from pac.agentkit.apkg import verify

def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

before, began = peak(), time.process_time()
verify(Path(sys.argv[1]))
print(json.dumps({"milliseconds": (time.process_time() - began) * 1000, "mebibytes": peak() - before}))
"""


def check_installed() -> None:
    """Raises Expected; asked before any server is started."""
    if find_spec("pac.testkit") is None:
        why = "the packages it checks come with the tests: it runs in a checkout only"
        raise Expected("the benchmark bombs cannot run", why, "git clone, and make setup")


async def bombs(_: Ground, options: Options) -> AsyncGenerator[Result]:
    """The worst of them, by processor time and by memory; each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="pac-bench-bombs-") as name:
        await _said_by(WRITTEN, name)
        paths = await asyncio.to_thread(_paths_in, name)
        rounds = [[json.loads(await _said_by(CHECKED, path)) for path in paths] for _ in range(options.rounds)]
    for figure, unit, limit in LIMITS:
        pairs = tuple((max(one[figure] for one in costs), limit) for costs in rounds)
        yield Result(f"bombs.{figure}", unit, f"the limit of {limit:g}", pairs)


def _paths_in(folder: str) -> list[str]:
    return sorted(map(str, Path(folder).iterdir()))


async def _said_by(program: str, argument: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, argument), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise Expected("a package of the corpus could not be checked", f"exit code {process.returncode}", "make test")
    return out
