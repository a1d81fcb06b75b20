"""Cookies that Supabase's own libraries have written (tests/supabase): the good ones are users, the others nobody."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from joserfc.jwk import OctKey

from pac.gateway.cookies import session_tokens
from pac.gateway.jwks import PublishedKeys, keys_in
from pac.gateway.tokens import AccessTokens, NotASession

FOLDER = Path(__file__).parents[1] / "supabase"
RECORDED: dict[str, Any] = json.loads((FOLDER / "sessions.json").read_text())
COOKIES: dict[str, str] = json.loads((FOLDER / "cookies.json").read_text())
SESSIONS: dict[str, Any] = RECORDED["sessions"]


def tokens() -> AccessTokens:
    published = PublishedKeys("http://127.0.0.1:9/jwks", clock=lambda: 0.0)
    published._keys = keys_in(json.dumps({"keys": RECORDED["keys"]}).encode())
    published._asked_at = 0.0
    return AccessTokens(
        secret=OctKey.import_key(RECORDED["secret"].encode()), published=published, issuer=RECORDED["issuer"]
    )


@pytest.mark.parametrize("name", SESSIONS)
async def test_a_recorded_cookie_is_its_user_or_nobody(name: str) -> None:
    session = SESSIONS[name]
    assert session_tokens([COOKIES[name]]) == [session["token"]]
    if session["is_accepted"]:
        assert await tokens().user_of(session["token"]) == UUID(RECORDED["user_id"])
    else:
        with pytest.raises(NotASession):
            await tokens().user_of(session["token"])


def test_every_form_is_recorded() -> None:
    assert COOKIES.keys() == SESSIONS.keys()
    assert {session["form"] for session in SESSIONS.values()} == {"base64url", "raw", "tokens-only", "array"}
    assert "sb-testproject-auth-token.10=" in COOKIES["eleven chunks"]
    assert COOKIES["older array"].startswith("sb-testproject-auth-token=%5B%22")
