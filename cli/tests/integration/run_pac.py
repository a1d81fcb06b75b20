"""The `pac` command with stand-ins for PAC's services, so that these tests are about the command alone."""

import sys
from dataclasses import replace
from pathlib import Path

from pac.cli.__main__ import main
from pac.cli.local import pac
from pac.cli.local.environment import Wiring
from pac.cli.local.process import ProcessSpec
from pac.cli.local.services import service_specs

STANDIN = str(Path(__file__).with_name("standin.py"))


def standins(wiring: Wiring, state_dir: Path, runtime_folder: Path, cache: Path) -> list[ProcessSpec]:
    specs = service_specs(wiring, state_dir, runtime_folder, cache)
    return [replace(spec, argv=(sys.executable, STANDIN, spec.name), cwd=state_dir) for spec in specs]


pac.LocalPac.make_services = staticmethod(standins)

if __name__ == "__main__":
    sys.argv[0] = "pac"
    main()
