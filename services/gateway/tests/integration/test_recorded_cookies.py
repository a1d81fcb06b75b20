"""The recorded cookies of Supabase's own libraries, sent to a gateway."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from pac.testkit.supabase import Issuer

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage

FOLDER = Path(__file__).parents[1] / "supabase"


async def test_recorded_cookies_are_answered_as_they_deserve(stage: "Stage") -> None:
    recorded = json.loads((FOLDER / "sessions.json").read_text())
    cookies = json.loads((FOLDER / "cookies.json").read_text())
    async with (
        Issuer(published=recorded["keys"]).serving() as issuer,
        stage.another(
            supabase_issuer=recorded["issuer"],
            supabase_jwks_url=issuer.jwks_url,
            supabase_jwt_secret=SecretStr(recorded["secret"]),
        ) as gateway,
    ):
        for name, session in recorded["sessions"].items():
            answer = await gateway.call("GET", "/api/credits", headers={"Cookie": cookies[name]})
            assert answer.status == (200 if session["is_accepted"] else 401), name
            if session["is_accepted"]:
                assert stage.billing.caller().actor == f"user-{recorded['user_id']}"
            else:
                assert answer.json["error"] == "Invalid API key or session"
