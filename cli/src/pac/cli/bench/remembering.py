"""How much memory the processes that an upload goes through need at their peak: a large package beside a small one."""

import time
from collections.abc import AsyncGenerator
from pathlib import Path
from random import Random

from pac.cli.bench.customers import customers
from pac.cli.bench.ground import Ground
from pac.cli.bench.listening import listening
from pac.cli.bench.measuring import OURS, Options, Result, paired
from pac.cli.local.errors import Expected
from pac.contracts.topics import ServiceName

MEGABYTE, MIB = 1_000_000, 1024
SMALL_MEGABYTES = 10
THROUGH = (ServiceName.GATEWAY, ServiceName.PACKAGES)
FORGET_THE_PEAK = "5"  # proc(5), clear_refs: VmHWM begins again at what is resident now


async def memory(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    """MiB resident at the peak of an upload, to its deployment's end. Only Linux tells."""
    pids = {one.name: one.pid for one in ground.whole.supervisor.status() if one.pid is not None}
    async with (
        customers(ground.whole, 2 * (options.rounds + 1)) as found,
        listening(ground.stack.kafka_servers, ServiceName.DEPLOYMENTS.topic, b"DeploymentCompleted") as ear,
    ):
        left, noise = list(found), Random(0)  # noqa: S311 - does not compress, no secret
        small = f"an upload of {SMALL_MEGABYTES} MB"
        sizes = {OURS: options.megabytes, small: SMALL_MEGABYTES}
        paths = {
            name: found[0].shop.write(f"1.0.{number}", noise.randbytes(megabytes * MEGABYTE))
            for number, (name, megabytes) in enumerate(sizes.items())
        }

        async def peaks(path: Path, version: str) -> dict[ServiceName, float]:
            for service in THROUGH:
                _forget(pids[service])
            began = time.perf_counter()
            with path.open("rb") as file:
                deployment = await left.pop().send(file, version)
            await ear.heard_after(began, deployment)
            return {service: _peak_mib(pids[service]) for service in THROUGH}

        contenders = {
            name: lambda path=path, number=number: peaks(path, f"1.0.{number}")
            for number, (name, path) in enumerate(paths.items())
        }
        await paired(1, contenders)
        rounds = await paired(options.rounds, contenders)
        for service in THROUGH:
            pairs = tuple((one[OURS][service], one[small][service]) for one in rounds)
            yield Result(f"memory.{service}", "MiB", small, pairs)


def _forget(pid: int) -> None:
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(FORGET_THE_PEAK, encoding="ascii")
    except OSError as error:
        raise Expected("memory cannot be measured here", str(error), "pac bench upload") from None


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / MIB
