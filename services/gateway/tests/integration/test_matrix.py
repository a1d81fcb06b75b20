"""Every route of the table with everybody who must not pass, and those who must: a new route is in here by itself."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from pac.contracts.identity import Scope
from pac.gateway.domain import personal_account
from pac.gateway.keys import new_key
from pac.gateway.routes import ROUTES, Forward, Own
from pac.gateway.who import ROLE_SCOPES
from pac.testkit.supabase import sign_shared, unsigned

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Answer, Gateway, SessionStage, Tenant

ADMIN_KEY = "operator-of-the-tests"
Route = Forward | Own
Headers = Mapping[str, str]
GUARDED = [route for route in ROUTES if not route.public]
OF_ACCOUNTS = [route for route in GUARDED if not route.operator]
OPERATORS = [route for route in GUARDED if route.operator]
NOT_ADMITTED = {401, 403, 404, 429}  # whatever else it answers: the request has passed
NOT_OF_AN_ACCOUNT = {
    "deployment_id",
    "package_id",
    "hook_id",
    "secret_name",
}  # the service that owns it tells whose it is


GUEST, STRANGER = uuid4(), uuid4()  # a member of each account of these tests, and a user who is none of any


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class Cast:
    """`nobody`: everything that is no credential (any more), by what it is."""

    lasting: "SessionStage"
    mine: "Tenant"
    theirs: "Tenant"
    nobody: Mapping[str, Headers]

    @property
    def gateway(self) -> "Gateway":
        return self.lasting.gateway

    @property
    def forwarded(self) -> int:
        stage = self.lasting.stage
        return sum(len(one.seen) for one in (stage.packages, stage.deployments, stage.billing, stage.notifier))

    async def ask(self, route: Route, headers: Headers, **ids: object) -> "Answer":
        body: dict[str, Any] = {} if route.method == "GET" else {"json": {}}
        return await self.gateway.call(route.method, path_of(route, **ids), headers=headers, **body)

    async def tenant(self) -> "Tenant":
        tenant = await self.gateway.account()
        members = f"/api/accounts/{tenant.account_id}/members"
        added = await self.gateway.call("POST", members, tenant.key, json={"user_id": str(GUEST), "role": "viewer"})
        assert added.status == 201, added
        return tenant

    async def key(self, tenant: "Tenant", scopes: Sequence[Scope]) -> Headers:
        made = await self.gateway.key(tenant.account_id, scopes=[scope.value for scope in scopes])
        return bearer(made["key"])


def path_of(route: Route, **ids: object) -> str:
    named: dict[str, object] = {"secret_name": "API_TOKEN", **ids}
    return re.sub(r"\{(\w+)\}", lambda match: str(named.get(match[1], uuid4())), route.path)


def ids_of(tenant: "Tenant", user_id: UUID = GUEST) -> dict[str, object]:
    return {"app_id": tenant.app_id, "account_id": tenant.account_id, "key_id": tenant.key_id, "user_id": user_id}


def without_request_id(answer: "Answer") -> tuple[int, str, object]:
    return answer.status, answer.reason, {**answer.json, "request_id": ""}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cast(lasting: "SessionStage") -> AsyncIterator[Cast]:
    gateway, issuer = lasting.gateway, lasting.issuer
    mine, theirs = await gateway.account(), await gateway.account()
    expired, revoked = await gateway.key(mine.account_id), await gateway.key(mine.account_id)
    await gateway.call("DELETE", f"/api/api-keys/{revoked['id']}", mine.key)
    async with await psycopg.AsyncConnection.connect(lasting.stage.database.superuser_url) as connection:
        past = "UPDATE state.api_keys SET expires_at = now() - interval '1 second' WHERE id = %s"
        await connection.execute(past, [expired["id"]])
    public_key = issuer.elliptic.as_pem(private=False)
    nobody = {
        "none": {},
        "empty": bearer(""),
        "another scheme": {"Authorization": f"Basic {mine.key}"},
        "garbage": bearer("garbage"),
        "a key with a wrong checksum": bearer(mine.key[:-1] + ("0" if mine.key[-1] != "0" else "1")),
        "a key that nobody made": bearer(new_key().text),
        "an expired key": bearer(expired["key"]),
        "a revoked key": bearer(revoked["key"]),
        "a garbage cookie": {"Cookie": "sb-testproject-auth-token=base64-garbage"},
        "an expired session": {"Cookie": issuer.cookie(issuer.token(exp=1_600_000_000))},
        "an expired access token": bearer(issuer.token(exp=1_600_000_000)),
        "the key anon": bearer(issuer.token(algorithm="HS256", role="anon")),
        "the key service_role": bearer(issuer.token(algorithm="HS256", role="service_role")),
        "another audience": bearer(issuer.token(aud="storage")),
        "another issuer": bearer(issuer.token(iss="https://other.example")),
        "no algorithm": bearer(unsigned(issuer.claims())),
        "a wrong algorithm": bearer(sign_shared(issuer.claims(), issuer.secret.encode(), algorithm="HS512")),
        "a public key as secret": bearer(sign_shared(issuer.claims(), public_key, {"kid": issuer.key_id})),
        "almost the admin key": bearer(ADMIN_KEY[:-1]),
    }
    yield Cast(lasting, mine, theirs, nobody)


@pytest.mark.parametrize("route", GUARDED, ids=named)
async def test_nobody_passes(cast: Cast, route: Route) -> None:
    before, answers = cast.forwarded, {}
    for what, headers in cast.nobody.items():
        answer = await cast.ask(route, headers, **ids_of(cast.mine))
        assert answer.status == 401, what
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="pac"'
        answers[what] = json.dumps(without_request_id(answer))
    assert len(set(answers.values())) == 1  # what exactly was wrong is nobody's business
    assert cast.forwarded == before


@pytest.mark.parametrize("route", OF_ACCOUNTS, ids=named)
async def test_a_key_needs_the_scope_of_the_route(cast: Cast, route: Route) -> None:
    assert route.scope is not None
    tenant = await cast.tenant()
    implied = {route.scope} | ({Scope.DEPLOY} if route.scope is Scope.READ else set())
    lacking = await cast.key(tenant, [scope for scope in Scope if scope not in implied])
    before = cast.forwarded
    refused = await cast.ask(route, lacking, **ids_of(tenant))
    assert (refused.status, refused.json["scope"]) == (403, route.scope.value)
    assert cast.forwarded == before
    # Nor does it learn whether something is there.
    elsewhere = await cast.ask(route, lacking)
    assert without_request_id(elsewhere) == without_request_id(refused)
    for scope in implied:
        assert (await cast.ask(route, await cast.key(tenant, [scope]), **ids_of(tenant))).status not in NOT_ADMITTED
        tenant = await cast.tenant()  # the request may have deleted something


@pytest.mark.parametrize("route", OF_ACCOUNTS, ids=named)
async def test_another_accounts_ids_are_as_unknown_as_any(cast: Cast, route: Route) -> None:
    params = set(re.findall(r"\{(\w+)\}", route.path)) - NOT_OF_AN_ACCOUNT
    assert params <= ids_of(cast.mine).keys(), "say here whose the new id is"
    session = bearer(cast.lasting.issuer.token())
    for headers in (await cast.key(cast.mine, list(Scope)), session):
        before = cast.forwarded
        for param in params:
            ids = ids_of(cast.mine)
            foreign = [
                without_request_id(await cast.ask(route, headers, **{**ids, param: other}))
                for other in (ids_of(cast.theirs, STRANGER)[param], uuid4(), "not-an-id")
            ]
            assert foreign[0] == foreign[1] == foreign[2]
            assert foreign[0][0] == 404
        assert cast.forwarded == before


@pytest.mark.parametrize("route", OF_ACCOUNTS, ids=named)
async def test_what_is_forwarded_is_the_callers_own_account(cast: Cast, route: Route) -> None:
    if not isinstance(route, Forward):
        return
    user = uuid4()
    session = bearer(cast.lasting.issuer.token(user))
    made = await cast.gateway.call("POST", "/api/agent-apps", headers=session, json={"name": "x"})
    users: tuple[str, UUID, dict[str, object]] = (
        f"user-{user}",
        personal_account(user),
        {"app_id": made.json["agent_app"]["id"]},
    )
    keys = (f"key-{cast.mine.key_id}", cast.mine.account_id, ids_of(cast.mine))
    stage = cast.lasting.stage
    upstream = {one.name: one for one in (stage.packages, stage.deployments, stage.billing, stage.notifier)}
    for headers, (actor, account_id, ids) in ((session, users), (bearer(cast.mine.key), keys)):
        assert (await cast.ask(route, headers, **ids)).status not in NOT_ADMITTED
        caller = upstream[route.to].caller()
        assert (caller.actor, caller.account_id, caller.operator) == (actor, account_id, False)
        assert (caller.app is not None) is route.app
        assert caller.app is None or caller.app.id == UUID(str(ids["app_id"]))


@pytest.mark.parametrize("route", OF_ACCOUNTS, ids=named)
async def test_a_member_needs_a_role_with_the_scope_of_the_route(cast: Cast, route: Route) -> None:
    assert route.scope is not None
    for role, scopes in ROLE_SCOPES.items():
        tenant, user = await cast.tenant(), uuid4()
        wish = {"user_id": str(user), "role": role.value}
        await cast.gateway.call("POST", f"/api/accounts/{tenant.account_id}/members", tenant.key, json=wish)
        headers = {**bearer(cast.lasting.issuer.token(user)), "PAC-Account": str(tenant.account_id)}
        answer = await cast.ask(route, headers, **ids_of(tenant))
        if route.scope in scopes:
            assert answer.status not in NOT_ADMITTED, (role, answer)
        else:
            assert (answer.status, answer.json["scope"]) == (403, route.scope.value)


@pytest.mark.parametrize("route", OF_ACCOUNTS, ids=named)
async def test_an_account_that_is_named_must_be_the_callers(cast: Cast, route: Route) -> None:
    session = bearer(cast.lasting.issuer.token())
    for credential, ids in ((bearer(cast.mine.key), ids_of(cast.mine)), (session, {})):
        foreign = [
            without_request_id(await cast.ask(route, {**credential, "PAC-Account": str(account_id)}, **ids))
            for account_id in (cast.theirs.account_id, uuid4(), "not-an-id")
        ]
        assert foreign[0] == foreign[1] == foreign[2]
        assert (foreign[0][0], foreign[0][1]) == (404, "Account not found")


@pytest.mark.parametrize("route", OPERATORS, ids=named)
async def test_what_is_the_operators_is_nobody_elses(cast: Cast, route: Route) -> None:
    before = cast.forwarded
    for headers in (bearer(cast.mine.key), bearer(cast.lasting.issuer.token())):
        refused = await cast.ask(route, headers, **ids_of(cast.mine))
        assert (refused.status, refused.json["scope"]) == (403, "operator")
    assert cast.forwarded == before
    tenant = await cast.tenant()
    assert (await cast.ask(route, bearer(ADMIN_KEY), **ids_of(tenant))).status not in NOT_ADMITTED
    if route.account:
        assert (await cast.ask(route, bearer(ADMIN_KEY))).status == 404


@pytest.mark.parametrize("route", OF_ACCOUNTS, ids=named)
async def test_the_operator_has_no_account(cast: Cast, route: Route) -> None:
    refused = await cast.ask(route, bearer(ADMIN_KEY), **ids_of(cast.mine))
    assert refused.status == 403
    assert refused.json["error"] == "The admin key belongs to no account: use an API key"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.public], ids=named)
async def test_what_is_public_asks_nobody(cast: Cast, route: Route) -> None:
    for what in ("none", "garbage", "an expired session"):
        assert (await cast.ask(route, cast.nobody[what])).status == 200
