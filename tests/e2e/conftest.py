"""One PAC for all tests of this folder, started as a newcomer starts it; after every test its laws are checked."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pac.cli.local.ports import free_port
from pac.testkit.described import contract
from pac.testkit.laws import laws_hold
from pac.testkit.pac_up import Answer, Pac, Tenant, pac_up
from pac.testkit.pixell import pixell
from pac.testkit.runtime import LocalRuntime
from pac.testkit.supabase import Issuer

__all__ = ["pixell"]


@pytest.fixture(scope="session")
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer().serving() as issuer:
        yield issuer


@pytest.fixture(scope="session")
async def pac(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> AsyncIterator[Pac]:
    folder = tmp_path_factory.mktemp("pac")
    environment = {
        # All ask from one address, and thousands of made-up requests come without a key that counts.
        "GATEWAY_REFUSED_REQUESTS_PER_SECOND": "10000",
        "GATEWAY_REFUSED_REQUESTS_BURST": "10000",
        "GATEWAY_SUPABASE_ISSUER": issuer.url,
        "GATEWAY_SUPABASE_JWKS_URL": issuer.jwks_url,
        "GATEWAY_PORT": str(free_port()),
        "PAC_TRACES_FILE": str(folder / "traces.jsonl"),
        "LOCAL_RUNTIME_BASE_ENVIRONMENT": "T_*",
        "T_FROM": "base",
        "T_BASE": "base",
    }
    async with pac_up(folder / "state", environment=environment) as running:
        yield replace(running, watch=as_described)


def as_described(method: str, path: str, answer: Answer) -> None:
    """Whatever a test asks for: the answer is one that the API's description tells of."""
    contract().check(method, path, answer.status, answer.headers, answer.body)


@pytest.fixture(autouse=True)
async def lawful(pac: Pac) -> AsyncIterator[None]:
    """Whatever a test did: PAC comes to rest, nothing is lost, stuck, charged twice or held."""
    yield
    await laws_hold(pac.status)


@pytest.fixture
async def tenant(pac: Pac) -> Tenant:
    tenant = await pac.tenant()
    await pac.credits_opened(tenant.key)
    return tenant


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def runtime(pac: Pac) -> LocalRuntime:
    return LocalRuntime(pac)
