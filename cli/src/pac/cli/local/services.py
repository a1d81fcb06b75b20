"""The processes of PAC itself: those of five services, and the local runtime."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pac.cli.local.environment import RUNTIME, SERVICES, Wiring, process_of
from pac.cli.local.probes import HttpProbe
from pac.cli.local.process import ProcessSpec

READY_SECONDS = 60.0
INFRASTRUCTURE = ("postgres", "kafka", "s3")


def service_specs(wiring: Wiring, state_dir: Path, runtime_folder: Path, cache: Path) -> list[ProcessSpec]:
    """They may start in any order; at the end they stop before what they talk to."""
    logs = state_dir / "logs"
    specs = [
        ProcessSpec(
            name=(name := process_of(service, number)),
            argv=(sys.executable, "-m", f"pac.{service.replace('-', '_')}"),
            env=quick_to_import(wiring.of_service(service, number), cache),
            cwd=state_dir,
            log_file=logs / f"{name}.log",
            ready=HttpProbe(wiring.ports.admin[name]),
            after=INFRASTRUCTURE,
            ready_timeout_seconds=READY_SECONDS,
        )
        for service in SERVICES
        for number in range(1, wiring.ports.replicas + 1)
    ]
    runtime = ProcessSpec(
        name=RUNTIME,
        argv=(sys.executable, "-m", "pac.agentkit.runtime"),
        env=quick_to_import(wiring.of_runtime(), cache),
        cwd=runtime_folder,
        log_file=logs / "runtime.log",
        ready=HttpProbe(wiring.ports.public[RUNTIME]),
        after=INFRASTRUCTURE,
        ready_timeout_seconds=READY_SECONDS,
    )
    return [*specs, runtime]


def quick_to_import(environment: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Where Python may not write its compiled files beside the sources, it compiles all of them at every start.

    That takes longer than anything else a service does at its start, so then they are kept in our cache instead.
    """
    quick = {"PYTHONUNBUFFERED": "1", **environment}
    if quick.pop("PYTHONDONTWRITEBYTECODE", "") or not os.access(Path(__file__).parent, os.W_OK):
        quick.setdefault("PYTHONPYCACHEPREFIX", str(cache / "pycache"))
    return quick
