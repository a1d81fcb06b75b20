"""The table of public paths says what the specification says, and nothing leads inside."""

import re

import pytest

from pac.contracts.identity import Scope
from pac.gateway.documents import PAGES
from pac.gateway.gate import UNKNOWN
from pac.gateway.routes import FORWARDS, NAMES, ROUTES, Forward, Own

# spec/deployment.md, and what decisions.md and interface.md add for this milestone.
PUBLISHED = {
    ("POST", "/api/agent-apps/{app_id}/packages"),
    ("POST", "/api/agent-apps/{app_id}/packages/deploy"),
    ("GET", "/api/agent-apps/{app_id}/packages"),
    ("GET", "/api/agent-apps/{app_id}/packages/{package_id}"),
    ("GET", "/api/agent-apps/{app_id}/packages/{package_id}/download"),
    ("DELETE", "/api/agent-apps/{app_id}/packages/{package_id}"),
    ("GET", "/api/deployments"),
    ("GET", "/api/deployments/{deployment_id}"),
    ("GET", "/api/deployments/{deployment_id}/events"),
    ("GET", "/api/deployments/{deployment_id}/logs"),
    ("GET", "/api/agent-apps/{app_id}/secrets"),
    ("POST", "/api/agent-apps/{app_id}/secrets"),
    ("DELETE", "/api/agent-apps/{app_id}/secrets"),
    ("GET", "/api/agent-apps/{app_id}/secrets/versions"),
    ("POST", "/api/agent-apps/{app_id}/secrets/restore"),
    ("PUT", "/api/agent-apps/{app_id}/secrets/{secret_name}"),
    ("DELETE", "/api/agent-apps/{app_id}/secrets/{secret_name}"),
    ("GET", "/api/agent-apps/{app_id}/env/explain"),
    ("POST", "/api/deployments/{deployment_id}/cancel"),
    ("POST", "/api/deployments/{deployment_id}/retry"),
    ("POST", "/api/agent-apps/{app_id}/rollback"),
    ("POST", "/api/agent-apps/{app_id}/release"),
    ("POST", "/api/agent-apps/{app_id}/stop"),
    ("POST", "/api/agent-apps/{app_id}/packages/{package_id}/deploy"),
    ("PUT", "/api/agent-apps/{app_id}/signing-keys"),
    ("GET", "/api/agent-apps/{app_id}/signing-keys"),
    ("DELETE", "/api/agent-apps/{app_id}/signing-keys"),
    ("GET", "/api/deployments/queue/stats"),
    ("GET", "/api/credits"),
    ("GET", "/api/credits/ledger"),
    ("POST", "/api/admin/accounts/{account_id}/credits"),
    ("GET", "/api/agent-apps"),
    ("POST", "/api/agent-apps"),
    ("GET", "/api/agent-apps/{app_id}"),
    ("PATCH", "/api/agent-apps/{app_id}"),
    ("DELETE", "/api/agent-apps/{app_id}"),
    ("GET", "/api/api-keys"),
    ("POST", "/api/api-keys"),
    ("DELETE", "/api/api-keys/{key_id}"),
    ("POST", "/api/admin/accounts/{account_id}/suspension"),
    ("DELETE", "/api/admin/accounts/{account_id}/suspension"),
    ("GET", "/api/accounts"),
    ("GET", "/api/accounts/{account_id}/members"),
    ("POST", "/api/accounts/{account_id}/members"),
    ("DELETE", "/api/accounts/{account_id}/members/{user_id}"),
    ("POST", "/api/admin/accounts"),
    ("POST", "/api/admin/accounts/{account_id}/api-keys"),
    ("GET", "/api/deployments/{deployment_id}/proof"),
    ("GET", "/.well-known/pac-proof-keys"),
    ("GET", "/api/ops/invariants"),
    ("GET", "/api/agent-apps/{app_id}/webhooks"),
    ("POST", "/api/agent-apps/{app_id}/webhooks"),
    ("GET", "/api/agent-apps/{app_id}/webhooks/{hook_id}"),
    ("DELETE", "/api/agent-apps/{app_id}/webhooks/{hook_id}"),
    ("GET", "/api/agent-apps/{app_id}/webhooks/{hook_id}/attempts"),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/rotate"),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/redeliver"),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/recover"),
    ("POST", "/api/agent-apps/{app_id}/webhooks/{hook_id}/enable"),
    ("GET", "/healthz"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/start.js"),
    ("GET", "/docs/swagger-ui-bundle.js"),
    ("GET", "/docs/swagger-ui.css"),
}
PUBLIC = {
    "/api/deployments/queue/stats",
    "/.well-known/pac-proof-keys",
    "/healthz",
    "/livez",
    "/readyz",
    "/openapi.json",
    *PAGES,
}


def test_every_published_path_is_there_exactly_once() -> None:
    paths = [(route.method, route.path) for route in ROUTES]
    assert sorted(paths) == sorted(PUBLISHED)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_says_who_may(route: Forward | Own) -> None:
    ways = [route.public, route.operator, route.scope is not None]
    assert ways.count(True) == 1
    assert route.public is (route.path in PUBLIC)
    assert route.operator is route.path.startswith(("/api/admin/", "/api/ops/"))
    assert route.app is ("{app_id}" in route.path)
    assert route.account is ("{account_id}" in route.path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_read_only_key_can_write_nothing(route: Forward | Own) -> None:
    if route.method != "GET":
        assert route.scope is not Scope.READ


def test_every_part_of_a_path_that_is_not_fixed_is_a_known_id_or_name() -> None:
    for route in ROUTES:
        assert set(re.findall(r"\{(\w+)\}", route.path)) <= set(UNKNOWN)
    assert set(NAMES) <= set(UNKNOWN)


def test_whoever_reads_or_writes_secrets_needs_their_scope() -> None:
    for route in ROUTES:
        assert ("/secrets" in route.path) is (route.scope is Scope.SECRETS)


def test_no_path_leads_to_what_services_keep_among_themselves() -> None:
    assert not [route.path for route in ROUTES if "internal" in route.path or "metrics" in route.path]


def test_fixed_paths_come_before_those_that_would_swallow_them() -> None:
    seen: list[str] = []
    for route in FORWARDS:
        if route.method == "GET":
            patterns = [re.sub(r"\{\w+\}", "[^/]+", path) for path in seen]
            assert not [p for p in patterns if re.fullmatch(p, route.path) and "{" not in route.path]
            seen.append(route.path)
