"""Has the npm library of Standard Webhooks verify what our deliveries are signed with: `python verify.py`.

Exit 1 and the names of those that it judges otherwise than it should. Where there is no node, or no registry to install
from, it says so and verifies nothing: what the library of PyPI says, the tests know.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pac.runtime_notifier.webhooks.seals import new_secret
from pac.runtime_notifier.webhooks.signing import signed_headers

HERE = Path(__file__).parent
INSTALL = (
    *("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"),
    *("--fetch-retries=0", "--fetch-timeout=30000"),  # ms; a registry out of reach is said at once
)
BODY = '{"type":"deployment.failed","timestamp":"2026-11-25T12:00:00Z","data":{"error":"ä \\u2028 😀"}}'
LONG = json.dumps({"type": "deployment.completed", "data": {"error": "é" * 9000}}, ensure_ascii=False)


@dataclass(frozen=True)
class Delivery:
    name: str
    secret: str
    body: str
    headers: dict[str, str]


def good() -> Iterator[Delivery]:
    """What a receiver must take: with one secret, and with either of two while they are rotated."""
    new, old, now = new_secret(), new_secret(), datetime.now(UTC)
    for name, body in (("plain", BODY), ("long", LONG)):
        yield Delivery(name, new, body, signed_headers([new], "msg_1", now, body))
    both = signed_headers([new, old], "msg_2", now, BODY)
    yield Delivery("rotated, the new secret", new, BODY, both)
    yield Delivery("rotated, the old secret", old, BODY, both)


def bad() -> Iterator[Delivery]:
    """What it must refuse."""
    secret, now = new_secret(), datetime.now(UTC)
    headers = signed_headers([secret], "msg_3", now, BODY)
    yield Delivery("a changed body", secret, BODY + " ", headers)
    yield Delivery("another id", secret, BODY, {**headers, "webhook-id": "msg_4"})
    yield Delivery("another secret", new_secret(), BODY, headers)
    old = signed_headers([secret], "msg_3", now - timedelta(minutes=10), BODY)
    yield Delivery("ten minutes old", secret, BODY, old)


def main() -> int:
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("node is not here: no delivery was verified by the npm library of Standard Webhooks")  # noqa: T201
        return 0
    expected = {one.name: True for one in good()} | {one.name: False for one in bad()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("package.json", "verify.mjs"):
            shutil.copy(HERE / file, folder)
        installed = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            print("npm could not install standardwebhooks: no delivery was verified by it")  # noqa: T201
            return 0
        deliveries = [asdict(one) for one in (*good(), *bad())]
        (folder / "deliveries.json").write_text(json.dumps(deliveries), encoding="utf-8")
        command = ("node", "verify.mjs", "deliveries.json")
        judged = json.loads(subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout)
    wrong = sorted(one for one in expected if judged.get(one) is not expected[one])
    for one in wrong:
        print(f"the npm library of Standard Webhooks judges the delivery '{one}' otherwise than it should")  # noqa: T201
    print(f"{len(expected) - len(wrong)} deliveries are judged by the npm library as they should be")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
