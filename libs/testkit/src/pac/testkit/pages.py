"""A page of the documentation that is generated: written, or with --check compared."""

import sys
from collections.abc import Callable
from pathlib import Path


def main(arguments: list[str], page: Callable[[], str]) -> int:
    """`[--check] PATH` → the exit code: 1 where the page is not what the code says."""
    path = Path(next(argument for argument in arguments if not argument.startswith("--")))
    if "--check" not in arguments:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(), encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != page():
        sys.stderr.write(f"{path} is not what the code says: run `make generate` and commit the result\n")
        return 1
    return 0
