"""The chart's values and, by helm, what it renders."""

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .places import CHART

Json = dict[str, Any]
SCHEMA: Json = json.loads((CHART / "values.schema.json").read_text())
CRDS = Path(__file__).parent / "crds"
KUBERNETES = "1.30"  # the oldest that the chart says it runs on
FILES = ("values-minimal.yaml", "values-production.yaml")
NAMESPACE = "pac-namespace"


def values_of(name: str = "values.yaml") -> Json:
    found: Json = yaml.safe_load((CHART / name).read_text())
    return found


def merged(under: Json, over: Json) -> Json:
    """As helm lays values over each other."""
    result = copy.deepcopy(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return result


def program(name: str) -> str:
    """A tool that is built by `go install`; without it nothing was checked, which is said and not passed over."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), str(Path.home() / "go/bin")]))
    if found is None:
        pytest.skip(f"NOT CHECKED: {name} is not on the PATH; docs/how-to/kubernetes.md says how to build it")
    return found


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [program("helm"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def template(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return helm("template", "pac", CHART, "--namespace", NAMESPACE, "--kube-version", f"{KUBERNETES}.0", *arguments)


def rendered(*arguments: str | Path) -> list[Json]:
    """Every object that would be applied, hooks too."""
    done = template(*arguments)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(objects: list[Json], kind: str) -> dict[str, Json]:
    """Name → object."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def component(one: Json) -> str:
    return str(one["metadata"]["labels"]["app.kubernetes.io/component"])
