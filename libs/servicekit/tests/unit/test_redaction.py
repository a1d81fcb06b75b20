import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given, strategies

from pac.servicekit.logging import configure_logging
from pac.servicekit.redaction import redact_fields, scrub

KEY = "pac_" + "a1B2" * 9 + "zz"
SECRETS = strategies.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=16, max_size=40)
TELLING = strategies.sampled_from(
    ["password", "api_key", "admin_key", "Authorization", "cookie", "client_secret", "session_token", "key_pepper"]
)


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY} was used",
        f"https://x/?api={KEY}",
        "Authorization: Bearer hunter2hunter2",
        "{'Authorization': 'Basic hunter2hunter2'}",
        "http://s3/bucket/key?X-Amz-Algorithm=AWS4&X-Amz-Credential=hunter2&X-Amz-Signature=hunter2",
        "http://s3/bucket/key?response=1&x-amz-signature=hunter2",
        "postgresql://billing:hunter2@127.0.0.1/billing refused",
        "could not connect: password=hunter2 host=x",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.hunter2",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        "Cookie: sb-x-auth-token=hunter2",
    ],
)
def test_secrets_are_known_by_their_form(text: str) -> None:
    assert "hunter2" not in scrub(text)
    assert KEY[4:] not in scrub(text)
    assert "redacted" in scrub(text)


@pytest.mark.parametrize(
    "text",
    ["pac_cli deployed 3 packages", "http://127.0.0.1:4000/api?limit=5", "deployment 7 moved", "postgresql://host/db"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrub(text) == text


def test_names_about_secrets_stay_and_counts_too() -> None:
    fields = {"api_key_id": "7", "secrets_version": 3, "token": 5, "secret_names": ["A"], "signature_policy": "off"}
    assert redact_fields(fields) == fields


@given(secret=SECRETS, name=TELLING, nested=strategies.booleans())
def test_values_under_telling_names_go(secret: str, name: str, nested: bool) -> None:  # noqa: FBT001 - drawn
    fields = {name: secret} if not nested else {"request": [{"inner": {name: {"deep": secret}}}]}
    assert secret not in repr(redact_fields(fields))


@given(secret=SECRETS, name=SECRETS, container=strategies.sampled_from(["env", "environment", "secrets", "headers"]))
def test_values_of_an_environment_go_and_its_names_stay(secret: str, name: str, container: str) -> None:
    shown = redact_fields({container: {name: secret}})
    assert name in shown[container]
    assert secret not in shown[container].values() or secret == "[redacted]"
    assert secret not in repr(redact_fields({"event": {container: [{"A": {"B": secret}}, secret]}}))


class Revealing:
    def __repr__(self) -> str:
        return f"<Client key={KEY}>"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handlers = list(logging.getLogger().handlers)
    configure_logging("billing", stream=stream)
    yield stream
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


def logged(lines: io.StringIO) -> dict[str, object]:
    [line] = lines.getvalue().splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_a_row_that_broke_a_rule_is_not_shown() -> None:
    told = "violates check constraint\nDETAIL:  Failing row contains (7, owner@example.org, (1)\nhunter2).\nend"
    assert scrub(told) == "violates check constraint\nDETAIL:  Failing row contains ([redacted]).\nend"


def test_a_line_is_json_with_service_level_time_and_bound_ids(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01"):
        structlog.get_logger("x").info("deployment_moved", deployment_id="7")
    line = logged(lines)
    assert {k: line[k] for k in ("event", "service", "level", "request_id", "deployment_id", "trace_id")} == {
        "event": "deployment_moved",
        "service": "billing",
        "level": "info",
        "request_id": "r-1",
        "deployment_id": "7",
        "trace_id": "a" * 32,
    }
    assert "timestamp" in line


def test_a_trace_shows_no_secret(lines: io.StringIO) -> None:
    try:
        raise ValueError(f"bad key {KEY} for postgresql://u:hunter2@h/d")  # noqa: TRY301 - the trace is what is tested
    except ValueError:
        structlog.get_logger("x").exception("failed", client=Revealing())
    assert "ValueError" in lines.getvalue()
    assert KEY not in lines.getvalue()
    assert "hunter2" not in lines.getvalue()


def test_lines_of_libraries_take_the_same_way(lines: io.StringIO) -> None:
    logging.getLogger("some.library").warning("url %s", "http://h/?X-Amz-Signature=hunter2")
    line = logged(lines)
    assert line["logger"] == "some.library"
    assert line["service"] == "billing"
    assert "hunter2" not in lines.getvalue()
