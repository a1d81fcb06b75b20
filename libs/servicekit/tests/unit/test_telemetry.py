"""Whatever goes wrong inside of a span: no text of an error, address or value of a request is in what is exported.

Who exports is decided once per process, so the spans are made in one of their own: this file, run as a program.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog.tracing import traced
from pac.servicekit.http import Route, build_http
from pac.servicekit.metrics import Metrics
from pac.servicekit.settings import ServiceSettings
from pac.servicekit.telemetry import traces_sent

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def signed_url(value: str) -> str:
    return f"https://objects.example/packages/{value}.apkg?X-Amz-Signature={value}"


def fail(value: str) -> None:
    """Errors with the value in their text, their cause and their notes, from within spans inside of each other."""
    for kind in (ValueError, ConnectionError, asyncio.CancelledError):
        error = kind(f"could not read {signed_url(value)}")
        error.add_note(value)
        with (
            suppress(kind),
            traced("outer", TRACEPARENT, stream="deployment-7") as outer,
            traced("inner", outer.traceparent),
        ):
            raise error from KeyError(value)


async def ask(value: str) -> None:
    """Requests with the value in each of their parts, whose handlers fail with it."""

    async def breaks(request: web.Request) -> web.Response:
        raise RuntimeError(f"{request.rel_url} has {await request.text()}")

    async def refuses(_: web.Request) -> web.Response:
        raise Refused(ErrorCode.INVALID_REQUEST, value)

    routes = [Route("POST", f"/{one.__name__}/{{name}}", one, public=True) for one in (breaks, refuses)]
    app = build_http(routes, verifier=None, metrics=Metrics(), stopping=asyncio.Event())
    async with TestClient(TestServer(app)) as client:
        for path in ("breaks", "refuses", "elsewhere"):
            asked = {"Authorization": f"Bearer {value}", "X-Request-Id": f"{value} is no id"}
            await client.post(f"/{path}/{value}?name={value}", headers=asked, data=value)


def main(file: str, value: str) -> None:
    settings = ServiceSettings(database_url=SecretStr("postgresql://x@127.0.0.1:1/x"), traces_file=Path(file))
    with traces_sent("example", settings):
        fail(value)
        asyncio.run(ask(value))


def outcome_of(span: dict[str, Any]) -> str | int | None:
    told: dict[str, str | int] = span["attributes"]
    return told.get("error.type", told.get("http.response.status_code"))


def test_no_text_of_an_error_and_nothing_of_a_request_is_in_a_span(tmp_path: Path) -> None:
    file, value = tmp_path / "traces.jsonl", secrets.token_hex(16)
    done = subprocess.run([sys.executable, __file__, str(file), value], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr.replace(value, "…")
    text = file.read_text(encoding="utf-8")
    spans = [json.loads(line) for line in text.splitlines()]
    assert [(span["name"], outcome_of(span)) for span in spans] == [
        ("inner", "ValueError"),
        ("outer", "ValueError"),
        ("inner", "ConnectionError"),
        ("outer", "ConnectionError"),
        ("inner", "CancelledError"),
        ("outer", "CancelledError"),
        ("POST /breaks/{name}", 500),
        ("POST /refuses/{name}", 400),
        ("POST unmatched", 404),
    ]
    assert (value in text, "X-Amz-" in text) == (False, False)
    assert all(span["events"] == [] and span["status"] == {"status_code": "UNSET"} for span in spans)


if __name__ == "__main__":
    main(*sys.argv[1:])
