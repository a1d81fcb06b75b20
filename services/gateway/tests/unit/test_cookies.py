"""Where in a request an access token may be; what the real libraries write is in test_recorded_cookies.py."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from pac.gateway.cookies import session_tokens

TOKEN, OTHER = "aaaa.bbbb.cccc", "dddd.eeee.ffff"
SESSION = {"access_token": TOKEN, "token_type": "bearer", "user": {"id": "x", "note": "grüße; 100%"}}


def base64_form(session: Any) -> str:
    return "base64-" + base64.urlsafe_b64encode(json.dumps(session).encode()).rstrip(b"=").decode()


def chunked(name: str, text: str, length: int) -> list[str]:
    parts = [text[at : at + length] for at in range(0, len(text), length)]
    return [f"{name}.{number}={part}" for number, part in enumerate(parts)]


@pytest.mark.parametrize(
    "value",
    [
        base64_form(SESSION),
        quote(json.dumps(SESSION)),
        quote(json.dumps([TOKEN, "refresh", None, None, None])),
        json.dumps({"access_token": TOKEN}, separators=(",", ":")),
        f'"{base64_form(SESSION)}"',
        TOKEN,
    ],
)
def test_every_form_holds_its_token(value: str) -> None:
    assert session_tokens([f"theme=dark; sb-ref-auth-token={value}; sb-ref-auth-token-code-verifier=x"]) == [TOKEN]


@pytest.mark.parametrize("form", [base64_form(SESSION), quote(json.dumps(SESSION))])
@pytest.mark.parametrize("length", [7, 10, 40])
def test_chunks_are_put_together_in_the_order_of_their_numbers(form: str, length: int) -> None:
    chunks = chunked("sb-ref-auth-token", form, length)
    assert len(chunks) > 3
    assert session_tokens(["; ".join(reversed(chunks))]) == [TOKEN]
    assert session_tokens(chunks) == [TOKEN]  # as HTTP/2 may split them over several headers


def test_what_stands_behind_a_gap_was_left_over_by_a_longer_session() -> None:
    chunks = chunked("sb-ref-auth-token", base64_form(SESSION), 60)
    assert session_tokens(["; ".join([*chunks, f"sb-ref-auth-token.{len(chunks) + 1}=stale"])]) == [TOKEN]


def test_the_whole_cookie_is_read_before_the_chunks_beside_it() -> None:
    chunks = chunked("sb-ref-auth-token", base64_form({"access_token": OTHER}), 20)
    assert session_tokens(["; ".join([*chunks, f"sb-ref-auth-token={base64_form(SESSION)}"])]) == [TOKEN, OTHER]


def test_cookies_of_several_projects_are_all_looked_at_but_not_without_end() -> None:
    cookies = [f"sb-{number}-auth-token={base64_form(SESSION)}" for number in range(50)]
    assert session_tokens(["; ".join(cookies)]) == [TOKEN] * 4


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sb-ref-auth-token",
        "sb-ref-auth-token=",
        "sb-auth-token=x",
        f"other={TOKEN}",
        "sb-ref-auth-token=base64-!!!!",
        "sb-ref-auth-token=base64-" + base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "sb-ref-auth-token=" + "[" * 5000,
        "sb-ref-auth-token=null",
        "sb-ref-auth-token=%7B%22access_token%22%3A1%7D",
        'sb-ref-auth-token={"user":{"access_token":"a.b.c"}}',
        "sb-ref-auth-token.1=x",
        f"sb-ref-auth-token.01={TOKEN}",
    ],
)
def test_what_is_no_session_is_passed_over(header: str) -> None:
    assert session_tokens([header]) == []
