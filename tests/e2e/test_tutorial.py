"""Both tutorials, word for word, in one shell, as a newcomer types them after `make up`."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from pac.testkit.pac_up import Pac
from pac.testkit.snippets import PAGES, snippets_of


@pytest.mark.timeout(300)  # some twenty calls of a command
async def test_the_tutorials_can_be_typed_as_they_stand(pac: Pac, folder: Path) -> None:
    typed = [one for page in sorted((PAGES / "tutorial").glob("*.md")) for one in snippets_of(page)]
    script = "\n".join(one.text for one in typed if one.language == "bash")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=folder,
        env={**os.environ, "PATH": path, "PAC_STATE_DIR": str(pac.state_dir)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 280)
    text = said.decode()
    assert process.returncode == 0, text
    for sign in ("DeploymentQueued", "DeploymentCompleted", "OPENAI_API_KEY", "not pinned"):
        assert sign in text, text
    assert "sk-example" not in text
