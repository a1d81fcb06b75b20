"""The `pac` command with stand-ins for PAC's services, so that these tests are about the command alone."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from pac.cli.__main__ import main
from pac.cli.commands import up
from pac.cli.local import pac
from pac.cli.local.environment import Wiring
from pac.cli.local.process import ProcessSpec
from pac.cli.local.services import service_specs

STANDIN = str(Path(__file__).with_name("standin.py"))


def standins(wiring: Wiring, state_dir: Path, runtime_folder: Path, cache: Path) -> list[ProcessSpec]:
    specs = service_specs(wiring, state_dir, runtime_folder, cache)
    return [replace(spec, argv=(sys.executable, STANDIN, spec.name), cwd=state_dir) for spec in specs]


setattr(pac, "LocalPac", partial(pac.LocalPac, make_services=standins))  # noqa: B010 - it is a class for mypy
setattr(up, "OURSELVES", (sys.executable, __file__))  # noqa: B010 - as above

if __name__ == "__main__":
    sys.argv[0] = "pac"
    main()
