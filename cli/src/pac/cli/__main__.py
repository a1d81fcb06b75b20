"""The `pac` command: the table of its commands."""

import os
import sys
from pathlib import Path


def _keep_compiled() -> None:
    """Where Python is told not to write compiled files, every command would compile its libraries anew: seconds."""
    if sys.dont_write_bytecode and sys.pycache_prefix is None:
        from pac.cli.cache import cache_folder  # noqa: PLC0415 (must come before all other imports)

        sys.pycache_prefix = str(cache_folder(os.environ) / "pycache")
        sys.dont_write_bytecode = False


def main() -> None:
    _keep_compiled()
    from pac.cli.application import build  # noqa: PLC0415 (see above)

    build()(prog_name=Path(sys.argv[0]).name if sys.argv[0].endswith("pac") else "pac")


if __name__ == "__main__":
    main()
