"""Small real agents, packed as the build packs them."""

from pathlib import Path

from pac.agentkit.build import write_package

MANIFEST = """\
version: "1.0"
name: {name}
display_name: Echo
description: Says what it was asked, and what environment it sees.
author: PAC tests
license: MIT
entrypoint: src.main:handler
runtime: python3.11
environment: {{}}
dependencies: []
metadata:
  version: {version}
"""
MAIN = """\
import os


def handler(context):
    seen = {name: value for name, value in os.environ.items() if name.startswith("T_")}
    return {"asked": context, "environment": seen}
"""
CRASHES = """\
raise RuntimeError("this agent cannot start")
"""


def write_agent(
    folder: Path, *, version: str = "1.0.0", name: str = "echo-agent", main: str = MAIN, env: str = "T_FROM=dotenv\n"
) -> Path:
    """The source folder of an agent."""
    (folder / "src").mkdir(parents=True)
    (folder / "src/main.py").write_text(main)
    (folder / "agent.yaml").write_text(MANIFEST.format(name=name, version=version))
    (folder / ".env").write_text(env)
    (folder / "requirements.txt").write_text("")
    return folder


def packed_agent(folder: Path, *, version: str = "1.0.0", main: str = MAIN, padding_bytes: int = 0) -> Path:
    """An .apkg in `folder`; with `padding_bytes` of incompressible content, to reach a size."""
    source = write_agent(folder / f"agent-{version}", version=version, main=main)
    if padding_bytes:
        (source / "core").mkdir()
        (source / "core/padding.bin").write_bytes(_noise(padding_bytes))
    return write_package(source, folder)


def _noise(size: int) -> bytes:
    import random  # noqa: PLC0415 - only for padding

    return random.Random(0).randbytes(size)  # noqa: S311 - content that does not compress, not a secret
