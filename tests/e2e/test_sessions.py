"""A person in a browser: no account, no key, only the cookie of a session; from the first look to a running agent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import Answer, Pac
from pac.testkit.supabase import Issuer

PADDING = {"about": "x" * 9000}  # makes it a cookie of several chunks


async def test_from_the_first_look_to_a_running_agent(pac: Pac, issuer: Issuer, folder: Path) -> None:
    user = uuid4()
    session = {"Cookie": issuer.cookie(issuer.token(user), user_metadata=PADDING)}
    assert "auth-token.2=" in session["Cookie"]

    async def ask(method: str, path: str, headers: Mapping[str, str] = session, **options: Any) -> Answer:
        return await pac.call(method, path, headers=headers, **options)

    assert (await ask("GET", "/api/agent-apps")).body["agent_apps"] == []

    async def credits_given() -> int:
        return int((await ask("GET", "/api/credits")).body.get("available", 0))

    given = await eventually(credits_given)
    created = await ask("POST", "/api/agent-apps", json={"name": "Mine"})
    assert created.status == 201, created
    packages = f"/api/agent-apps/{created.body['agent_app']['id']}/packages"

    package = packed_agent(folder, version="1.2.0")

    def form() -> dict[str, Any]:
        return {"file": package.open("rb"), "version": "1.2.0"}

    foreign = await ask("POST", f"{packages}/deploy", {**session, "Origin": "https://evil.example"}, data=form())
    assert (foreign.status, foreign.body["code"]) == (403, "foreign_origin"), foreign
    accepted = await ask("POST", f"{packages}/deploy", data=form())
    assert accepted.status == 202, accepted
    status = f"/api/deployments/{accepted.body['deployment']['id']}"
    bearer = {"Authorization": f"Bearer {issuer.token(user)}"}

    async def ended() -> bool:
        answer = await ask("GET", status, bearer)
        assert answer.status == 200, answer
        return answer.body["deployment"]["status"] in ("completed", "failed")

    await eventually(ended, seconds=60)
    assert (await ask("GET", status)).body["deployment"]["status"] == "completed"
    balance = (await ask("GET", "/api/credits")).body
    assert [balance[name] for name in ("available", "reserved", "spent")] == [given - 1, 0, 1]
    assert len((await ask("GET", packages)).body["packages"]) == 1

    stranger = {"Cookie": issuer.cookie(issuer.token(uuid4()))}
    assert [(await ask("GET", path, stranger)).status for path in (status, packages)] == [404, 404]
    expired = {"Cookie": issuer.cookie(issuer.token(user, iat=1_000_000_000, exp=1_000_003_600))}
    assert (await ask("GET", status, expired)).status == 401
