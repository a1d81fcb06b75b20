"""What is kept of a package's check: its manifest, list of files and warnings. Never a value of an environment."""

from dataclasses import asdict
from typing import Any

from pac.contracts.packages import Problem
from pac.packages.checker import Report


def described(report: Report) -> dict[str, Any]:
    """Values of the row in state.packages."""
    return {
        "manifest": report.manifest,
        "metadata": {
            "name": report.name,
            "unpacked_bytes": report.unpacked_bytes,
            "entries": report.entries,
            "env_names": list(report.env_names),
            "dependencies": list(report.dependencies),
            "files": [asdict(file) for file in report.files],
        },
        "warnings": [dumped(warning) for warning in report.warnings],
    }


def dumped(problem: Problem) -> dict[str, str]:
    return problem.model_dump(mode="json", exclude_none=True)


def loaded(problems: list[dict[str, str]] | None) -> tuple[Problem, ...]:
    return tuple(Problem.model_validate(problem) for problem in problems or ())
