"""A dry run says what a deploy would say, and leaves nothing behind."""

import hashlib

import pytest

from .harness import Packages, Tenant, apkg, damaged

DRY = "/deploy?dry_run=true"


async def test_a_sound_package_would_be_accepted_and_nothing_of_it_is_kept(packages: Packages, tenant: Tenant) -> None:
    package = apkg(changes={".env": b"OPENAI_API_KEY=sk-hunter2hunter2hunter2hunter2hunter2\n"})
    for _ in range(2):
        answer = await packages.post(tenant, package, to=DRY, environment='{"A": "1"}', release_notes="x")
        assert answer.status == 200, answer
    body = answer.body
    assert body["dry_run"] is True
    assert body["package"] == {
        "version": "1.0.0",
        "size_bytes": len(package),
        "sha256": hashlib.sha256(package).hexdigest(),
        "signature": "none",
        "signed_by": None,
    }
    assert body["estimated_duration_seconds"] == 120
    assert body["warnings"]
    assert "hunter2" not in str(body)
    await packages.nothing_left()
    assert await packages.rows("SELECT 1 FROM state.packages UNION SELECT 1 FROM state.submissions") == []
    assert (await packages.post(tenant, package)).status == 202, "its version is still free"


async def test_its_refusals_are_a_deploys_and_more(packages: Packages, tenant: Tenant) -> None:
    """A dry run inflates every byte, which a deploy does in its first step."""
    told = await packages.deployed(tenant, apkg())
    taken = await packages.post(tenant, apkg(), to=DRY)
    assert (taken.status, taken.body["details"]) == (400, ["Version already exists"])
    assert taken.body["existing"]["deployment_id"] == str(told.deployment_id)
    forced = await packages.post(tenant, apkg("1.0.1"), to=DRY, force_overwrite="true")
    assert forced.status == 200
    bad = await packages.post(tenant, damaged("2.0.0"), to=DRY)
    assert (bad.status, bad.body["code"]) == (400, "invalid_package")
    no_package = await packages.post(tenant, b"not a zip", to=DRY)
    assert no_package.body["details"] == ["Invalid APKG format"]
    await packages.nothing_left_but(told)


@pytest.mark.parametrize("value", ["", "maybe", "2"])
async def test_what_is_neither_true_nor_false_is_named(packages: Packages, tenant: Tenant, value: str) -> None:
    answer = await packages.post(tenant, apkg(), to=f"/deploy?dry_run={value}")
    assert (answer.status, answer.body["details"]) == (400, ["dry_run: true or false"])
    await packages.nothing_left()


async def test_false_deploys(packages: Packages, tenant: Tenant) -> None:
    assert (await packages.post(tenant, apkg(), to="/deploy?dry_run=false")).status == 202
