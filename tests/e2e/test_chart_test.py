"""What the pod of `helm test` does, done here to a whole PAC: an account of its own, a package, a running agent."""

import asyncio
import os
import sys
from pathlib import Path

from pac.testkit.pac_up import Pac

SCRIPT = Path(__file__).parents[2] / "deploy/helm/pac/files/test/deploy.sh"


async def test_the_chart_s_test_deploys_a_package(pac: Pac, tmp_path: Path) -> None:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": programs, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    where = {"PAC_GATEWAY_URL": pac.status["gateway_url"], "PAC_ADMIN_KEY": pac.status["admin_key"]}
    done = await asyncio.create_subprocess_exec(
        *("sh", str(SCRIPT)),
        env=environment | where,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await done.communicate()
    assert done.returncode == 0, said.decode()
    assert "completed" in said.decode()
    assert "pac_" not in said.decode()
