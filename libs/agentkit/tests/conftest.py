"""Agents' folders, the real pixell command and packages made by it."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pac.testkit.pixell import Pixell, pixell

__all__ = ["pixell"]

AGENT_YAML = """\
version: "1.0"
name: {name}
display_name: Echo
description: Tells what it was given
author: A. Author
license: MIT
entrypoint: src.main:handler
runtime: python3.11
environment: {{}}
dependencies: []
metadata:
  version: {version}
"""
ECHO = "def handler(context):\n    return {'received': context}\n"

MakeFolder = Callable[..., Path]
PixellBuild = Callable[[Path], Path]


def write_folder(
    root: Path,
    *,
    name: str = "echo-agent",
    version: str = "1.2.0",
    main: str = ECHO,
    env: str = "GREETING=from-dotenv\n",
    requirements: str = "",
    more: Mapping[str, str] | None = None,
) -> Path:
    files = {
        "agent.yaml": AGENT_YAML.format(name=name, version=version),
        "src/main.py": main,
        ".env": env,
        "requirements.txt": requirements,
        **(more or {}),
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    count = 0

    def make(**options: object) -> Path:
        nonlocal count
        count += 1
        return write_folder(tmp_path / f"agent-{count}", **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def pixell_build(pixell: Pixell, tmp_path: Path) -> PixellBuild:
    def build(folder: Path) -> Path:
        target = tmp_path / f"built-{folder.name}"
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run(
            [pixell.executable, "build", "--path", folder, "--output", target],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (package,) = target.glob("*.apkg")
        return package

    return build
