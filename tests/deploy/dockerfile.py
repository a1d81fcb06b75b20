"""A Dockerfile as data, and its steps run in a folder: what an engine would do, as far as that needs no container."""

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    keyword: str
    text: str


def stages(text: str) -> list[list[Step]]:
    """The steps of each stage, its FROM first. Continued lines are one; comments are left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[list[Step]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            found.append([])
        found[-1].append(Step(keyword, rest.strip()))
    return found


@dataclass
class Folder:
    """Stands for a container's file system: its absolute paths below /opt and /src are below `root`."""

    root: Path
    context: Path

    def inside(self, text: str) -> str:
        for top in ("/opt", "/src"):
            text = text.replace(top, f"{self.root}{top}")
        return text

    def run(self, steps: list[Step]) -> None:
        """Raises CalledProcessError for a step that fails, ValueError for one that it does not know."""
        environment, here = dict(os.environ), self.root
        for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"):
            environment.pop(name, None)
        for step in steps:
            match step.keyword:
                case "FROM":
                    continue
                case "ENV":
                    environment |= dict(pair.split("=", 1) for pair in shlex.split(self.inside(step.text)))
                case "WORKDIR":
                    here = Path(self.inside(step.text))
                    here.mkdir(parents=True)
                case "COPY":
                    *sources, target = step.text.split()
                    for source in sources:
                        self._copy(self.context / source, here / target)
                case "RUN":
                    subprocess.run(self.inside(step.text), shell=True, cwd=here, env=environment, check=True)  # noqa: S602
                case _:
                    raise ValueError(step.keyword)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("tests", "__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)
