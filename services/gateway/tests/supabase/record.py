"""Has Supabase's own libraries write the cookies again: `python record.py [--write]`.

Without `--write` compares them with cookies.json: exit 1 and the names where they differ. Where there is no node, or no
registry to install from, it says so and compares nothing: the tests themselves need neither.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
RECORDED = HERE / "cookies.json"
INSTALL = (
    *("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"),
    *("--fetch-retries=0", "--fetch-timeout=30000"),  # ms; a registry out of reach is said at once
)


def main(arguments: list[str]) -> int:
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("node is not here: the recorded session cookies were not compared")  # noqa: T201
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("package.json", "record.mjs", "sessions.json"):
            shutil.copy(HERE / file, folder)
        installed = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            print("npm could not install Supabase's libraries: the session cookies were not compared")  # noqa: T201
            return 0
        command = ("node", "record.mjs", "sessions.json")
        written = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    if "--write" in arguments:
        RECORDED.write_text(written)
        return 0
    now, then = json.loads(written), json.loads(RECORDED.read_text())
    different = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
    for name in different:
        print(f"the cookie of the session '{name}' is written in another way than recorded")  # noqa: T201
    print(f"{len(now) - len(different)} session cookies are written as recorded")  # noqa: T201
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
