"""Puts the alerts and dashboards of deploy/ into the chart, which can read nothing outside itself.

`python deploy/helm/files.py` copies; with `--check` it says what differs, and exits with 1.
"""

import sys
from pathlib import Path

DEPLOY = Path(__file__).parents[1]
FILES = DEPLOY / "helm" / "pac" / "files"
KINDS = {"alerts": ("*.yml", "*.yaml"), "grafana": ("*.json",)}


def wanted() -> dict[Path, bytes]:
    """The chart's file → what it must hold."""
    return {
        FILES / folder / path.name: path.read_bytes()
        for folder, patterns in KINDS.items()
        for pattern in patterns
        for path in sorted((DEPLOY / folder).glob(pattern))
    }


def differing() -> list[Path]:
    files = wanted()
    there = {path for folder in KINDS for path in (FILES / folder).glob("*")}
    return sorted(path for path in {*files, *there} if not path.is_file() or files.get(path) != path.read_bytes())


def copy() -> None:
    files = wanted()
    for path in differing():
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
        else:
            path.unlink()


def main() -> int:
    if "--check" not in sys.argv[1:]:
        copy()
        return 0
    faults = differing()
    sys.stdout.writelines(f"{path.relative_to(DEPLOY.parent)} is not as in deploy/: make generate\n" for path in faults)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
