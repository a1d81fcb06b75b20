"""Every request of the specification that needs no session cookie, its answers compared field by field."""

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pac.testkit.agents import packed_agent
from pac.testkit.pac_up import Pac, Tenant

ID, TIME = "an id", "a time"
PACKAGE = {"id": ID, "version": "1.0.0", "s3_url": "http", "size": 0, "created_at": TIME}
STEP_NAMES = ["validate_package", "upload_to_s3", "generate_metadata", "notify_runtime", "finalize"]


def assert_shaped(example: Any, actual: Any, where: str = "body") -> None:
    """Every field of the example is there, of its type and form; more may be."""
    match example:
        case dict():
            assert isinstance(actual, dict), where
            for name, value in example.items():
                assert name in actual, f"{where}.{name} is missing"
                assert_shaped(value, actual[name], f"{where}.{name}")
        case list():
            assert isinstance(actual, list), where
            assert len(actual) == len(example), where
            for number, value in enumerate(example):
                assert_shaped(value, actual[number], f"{where}[{number}]")
        case "an id":
            assert str(UUID(actual)) == actual, where
        case "a time":
            assert actual.endswith("Z"), where
            assert datetime.fromisoformat(actual).tzinfo is not None, where
        case "http":
            assert actual.startswith(("http://", "https://")), where
            assert "?" not in actual, where
        case bool() | int():
            assert type(actual) is type(example), where
        case _:
            assert actual == example, where


@pytest.mark.parametrize("file_first", [True, False])
async def test_upload_list_and_delete(pac: Pac, tenant: Tenant, folder: Path, *, file_first: bool) -> None:
    path = f"/api/agent-apps/{tenant.app_id}/packages"
    package = packed_agent(folder)
    from aiohttp import FormData  # noqa: PLC0415

    form = FormData()
    if file_first:
        form.add_field("file", package.read_bytes(), filename="agent.apkg")
    form.add_field("version", "1.0.0")
    if not file_first:
        form.add_field("file", package.read_bytes(), filename="agent.apkg")
    uploaded = await pac.call("POST", path, tenant.key, data=form)
    assert uploaded.status == 201, uploaded
    assert_shaped({"package": PACKAGE}, uploaded.body)
    assert uploaded.body["package"]["size"] == package.stat().st_size
    listed = await pac.call("GET", path, tenant.key)
    assert listed.status == 200
    assert_shaped({"packages": [PACKAGE]}, listed.body)
    deleted = await pac.call("DELETE", f"{path}/{uploaded.body['package']['id']}", tenant.key)
    assert (deleted.status, deleted.body) == (200, {"message": "Package deleted successfully"})
    assert (await pac.call("GET", path, tenant.key)).body["packages"] == []
    balance = (await pac.call("GET", "/api/credits", tenant.key)).body
    assert (balance["reserved"], balance["spent"]) == (0, 0), "an upload without deploy is not charged"


@pytest.mark.parametrize("file_first", [True, False])
async def test_deploy_to_completed(pac: Pac, tenant: Tenant, folder: Path, *, file_first: bool) -> None:
    package = packed_agent(folder, version="1.2.0")
    accepted = await pac.deploy(
        tenant, package, "1.2.0", file_first=file_first, release_notes="Fixed bugs and improved performance"
    )
    assert accepted.status == 202, accepted
    deployment = accepted.body["deployment"]["id"]
    public = pac.url.replace("127.0.0.1", "localhost")
    assert_shaped(
        {
            "deployment": {
                "id": ID,
                "status": "queued",
                "message": "Deployment queued successfully",
                "queued_at": TIME,
                "estimated_duration_seconds": 120,
            },
            "package": {"id": ID, "version": "1.2.0", "size_bytes": 0, "status": "uploading"},
            "tracking": {
                "status_url": f"{public}/api/deployments/{deployment}",
                "webhook_url": f"{public}/api/agent-apps/{tenant.app_id}/webhooks",
            },
        },
        accepted.body,
    )
    assert (await pac.call("GET", accepted.body["tracking"]["status_url"], tenant.key)).status == 200
    ended = await pac.ended(deployment, tenant.key)
    assert_shaped(
        {
            "id": deployment,
            "status": "completed",
            "package_id": accepted.body["package"]["id"],
            "agent_app_id": tenant.app_id,
            "version": "1.2.0",
            "created_at": TIME,
            "started_at": TIME,
            "completed_at": TIME,
            "duration_seconds": 0,
            "outcome": "succeeded",
            "progress": {
                "current_step": None,
                "steps": [
                    {"name": name, "status": "completed", "started_at": TIME, "completed_at": TIME}
                    for name in STEP_NAMES
                ],
            },
        },
        ended,
    )
    assert "error" not in ended


async def test_bad_packages_are_refused_with_all_their_faults(pac: Pac, tenant: Tenant, folder: Path) -> None:
    junk = folder / "junk.apkg"
    junk.write_bytes(b"this is no zip")
    refused = await pac.deploy(tenant, junk, "1.0.0")
    assert refused.status == 400
    assert refused.body["error"] == "Package validation failed"
    assert "Invalid APKG format" in refused.body["details"]
    import zipfile  # noqa: PLC0415

    empty = folder / "empty.apkg"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("src/main.py", "")
    refused = await pac.deploy(tenant, empty, "1.0.0")
    assert refused.status == 400
    assert "Missing required manifest.json" in refused.body["details"]
    assert len(refused.body["details"]) > 1, "the missing .env is told at the same time"
    assert all(set(problem) >= {"code", "message"} for problem in refused.body["problems"])
    balance = (await pac.call("GET", "/api/credits", tenant.key)).body
    assert (balance["reserved"], balance["spent"]) == (0, 0)


async def test_a_version_that_exists_is_refused(pac: Pac, tenant: Tenant, folder: Path) -> None:
    package = packed_agent(folder)
    first = await pac.deploy(tenant, package, "1.0.0")
    assert first.status == 202
    await pac.ended(first.body["deployment"]["id"], tenant.key)
    again = await pac.deploy(tenant, package, "1.0.0")
    assert again.status == 400
    assert again.body["error"] == "Package validation failed"
    assert again.body["details"] == ["Version already exists"]
    existing = again.body["existing"]
    assert existing["package_id"] == first.body["package"]["id"]
    assert existing["same_content"] is True
    assert existing["deployment_id"] == first.body["deployment"]["id"]
    forced = await pac.deploy(tenant, package, "1.0.0", force_overwrite="true")
    assert forced.status == 202, forced
    assert (await pac.ended(forced.body["deployment"]["id"], tenant.key))["status"] == "completed"


@pytest.mark.parametrize("authorization", [None, "Bearer pac_garbage", "Bearer ", "Basic abc"])
async def test_without_a_key_nothing_is_told(pac: Pac, tenant: Tenant, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    for method, path in (
        ("POST", f"/api/agent-apps/{tenant.app_id}/packages/deploy"),
        ("GET", f"/api/agent-apps/{tenant.app_id}/packages"),
        ("GET", f"/api/deployments/{uuid4()}"),
    ):
        answer = await pac.call(method, path, headers=headers)
        assert answer.status == 401, path
        assert answer.body["error"] == "Invalid API key or session"


async def test_without_credits_nothing_is_deployed(pac: Pac, folder: Path) -> None:
    poor = await pac.tenant(credits=1)
    package = packed_agent(folder, padding_bytes=2 * 1024 * 1024)
    refused = await pac.deploy(poor, package, "1.0.0")
    assert refused.status == 402, refused
    assert refused.body["error"] == "Insufficient credits"
    assert (refused.body["required"], refused.body["available"]) == (3, 1)
    small = await pac.deploy(poor, packed_agent(folder / "small", version="1.0.0"), "1.0.0")
    assert small.status == 202, "the version is free again"
    assert (await pac.ended(small.body["deployment"]["id"], poor.key))["status"] == "completed"


async def test_other_accounts_and_unknown_ids_look_the_same(pac: Pac, tenant: Tenant, folder: Path) -> None:
    other = await pac.tenant()
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    foreign = await pac.call("GET", f"/api/deployments/{accepted.body['deployment']['id']}", other.key)
    unknown = await pac.call("GET", f"/api/deployments/{uuid4()}", other.key)
    assert foreign.status == unknown.status == 404
    assert {**foreign.body, "request_id": ""} == {**unknown.body, "request_id": ""}
    app = await pac.call("GET", f"/api/agent-apps/{tenant.app_id}/packages", other.key)
    none = await pac.call("GET", f"/api/agent-apps/{uuid4()}/packages", other.key)
    assert app.status == none.status == 404
    assert {**app.body, "request_id": ""} == {**none.body, "request_id": ""}
    await pac.ended(accepted.body["deployment"]["id"], tenant.key)


async def test_queue_stats_are_public(pac: Pac) -> None:
    answer = await pac.call("GET", "/api/deployments/queue/stats")
    assert answer.status == 200
    assert_shaped(
        {
            "stats": {"queued": 0, "processing": 0, "completed": 0, "failed": 0, "total": 0},
            "health": {"status": "healthy", "message": "Queue is operating normally"},
            "metrics": {"lastUpdated": TIME},
        },
        answer.body,
    )
    stats = answer.body["stats"]
    assert stats["total"] == sum(stats[name] for name in ("queued", "processing", "completed", "failed"))
