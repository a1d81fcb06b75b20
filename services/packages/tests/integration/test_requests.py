"""Every request of the specification for packages, field by field, with `file` first (curl) and last (the client)."""

import hashlib
from uuid import UUID

import pytest
from dirty_equals import IsDatetime, IsInt, IsStr, IsUUID
from pysequoia import Tsk
from yarl import URL

from pac.packages.queries import Queries

from .harness import Packages, Tenant, apkg, signed

FILE_FIRST = pytest.mark.parametrize("file_first", [True, False], ids=["file first", "file last"])
WHEN = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z") & IsDatetime(iso_string=True)


@FILE_FIRST
async def test_deploy_answers_202_in_the_shape_of_the_specification(
    packages: Packages, tenant: Tenant, *, file_first: bool
) -> None:
    package = apkg("1.2.0")
    answer = await packages.post(
        tenant,
        package,
        file_first=file_first,
        version="1.2.0",
        release_notes="Fixed bugs and improved performance",
        signature=signed(Tsk.generate(), package),
    )
    assert answer.status == 202
    assert answer.body == {
        "deployment": {
            "id": IsUUID(4),
            "status": "queued",
            "message": "Deployment queued successfully",
            "queued_at": WHEN,
            "estimated_duration_seconds": 120,
        },
        "package": {
            "id": IsUUID(4),
            "version": "1.2.0",
            "size_bytes": len(package),
            "status": "uploading",
            "sha256": hashlib.sha256(package).hexdigest(),
            "warnings": [],
            "signature": "unverified",
            "signed_by": None,
        },
        "tracking": {
            "status_url": f"https://your-app.com/api/deployments/{answer.body['deployment']['id']}",
            "webhook_url": f"https://your-app.com/api/agent-apps/{tenant.app_id}/webhooks",
        },
    }
    told = await packages.submitted(UUID(answer.body["deployment"]["id"]))
    assert (told.package_version, told.size_bytes, told.no, told.source) == ("1.2.0", len(package), 1, "upload")
    assert await packages.objects.get_bytes(told.object_key) == package
    assert packages.temporary() == []


@FILE_FIRST
async def test_upload_answers_201_in_the_shape_of_the_specification(
    packages: Packages, tenant: Tenant, *, file_first: bool
) -> None:
    package = apkg("1.0.1")
    answer = await packages.post(tenant, package, to="", file_first=file_first, version="1.0.1")
    assert answer.status == 201
    shown = answer.body["package"]
    sha256 = hashlib.sha256(package).hexdigest()
    assert {name: shown[name] for name in ("id", "version", "s3_url", "size", "created_at")} == {
        "id": IsUUID(4),
        "version": "1.0.1",
        "s3_url": IsStr(regex=rf"http.*/packages/{tenant.account_id}/{sha256}"),
        "size": len(package),
        "created_at": WHEN,
    }
    assert shown["status"] == "stored"
    assert await packages.objects.get_bytes(f"packages/{tenant.account_id}/{sha256}") == package
    assert await packages.keys("staging/") == []
    [event] = [told.event for told in await packages.log.history(f"package-{shown['id']}")]
    assert event.type == "PackageUploaded"


async def test_a_list_reads_no_manifests_and_files(packages: Packages, tenant: Tenant) -> None:
    await packages.post(tenant, apkg(), to="")
    found = await Queries(packages.log).packages(tenant.account_id, tenant.app_id, limit=10, after=None)
    assert not {"manifest", "metadata"} & set(found.rows[0]._fields)  # they may be megabytes, and are not shown here


async def test_list_is_newest_first_and_in_pages(packages: Packages, tenant: Tenant) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        assert (await packages.post(tenant, apkg(version), to="")).status == 201
    answer = await packages.call("GET", tenant.path, tenant)
    assert answer.status == 200
    assert [shown["version"] for shown in answer.body["packages"]] == ["1.0.2", "1.0.1", "1.0.0"]
    assert answer.body["next_cursor"] is None
    for shown in answer.body["packages"]:
        assert {name: shown[name] for name in ("id", "s3_url", "size", "created_at")} == {
            "id": IsUUID(4),
            "s3_url": IsStr(),
            "size": IsInt(gt=0),
            "created_at": WHEN,
        }
    first = await packages.call("GET", f"{tenant.path}?limit=2", tenant)
    assert [shown["version"] for shown in first.body["packages"]] == ["1.0.2", "1.0.1"]
    second = await packages.call("GET", f"{tenant.path}?limit=2&cursor={first.body['next_cursor']}", tenant)
    assert [shown["version"] for shown in second.body["packages"]] == ["1.0.0"]
    assert second.body["next_cursor"] is None


async def test_delete_answers_in_the_shape_of_the_specification_and_frees_the_version(
    packages: Packages, tenant: Tenant
) -> None:
    package_id = (await packages.post(tenant, apkg(), to="")).body["package"]["id"]
    answer = await packages.call("DELETE", f"{tenant.path}/{package_id}", tenant)
    assert (answer.status, answer.body) == (200, {"message": "Package deleted successfully"})
    assert (await packages.call("DELETE", f"{tenant.path}/{package_id}", tenant)).status == 404
    assert (await packages.call("GET", f"{tenant.path}/{package_id}", tenant)).status == 404
    assert (await packages.call("GET", tenant.path, tenant)).body["packages"] == []
    assert (await packages.post(tenant, apkg(), to="")).status == 201


async def test_a_package_by_itself_shows_manifest_files_and_notes_and_downloads(
    packages: Packages, tenant: Tenant
) -> None:
    package = apkg(changes={".env": b"KEY=sk-abcdefghijklmnopqrstuvwxyz012345\n"})
    package_id = (await packages.post(tenant, package, to="", release_notes="Better")).body["package"]["id"]
    shown = (await packages.call("GET", f"{tenant.path}/{package_id}", tenant)).body["package"]
    assert shown["manifest"]["name"] == "echo-agent"
    assert shown["release_notes"] == "Better"
    assert [file["name"] for file in shown["metadata"]["files"]] == ["manifest.json", ".env", "src/main.py"]
    assert [warning["code"] for warning in shown["warnings"]] == ["secret_like_value"]
    assert "abcdefghijklmnop" not in str(shown)
    download = await packages.call("GET", f"{tenant.path}/{package_id}/download", tenant)
    assert (download.status, download.headers["Cache-Control"], download.body) == (302, "no-store", "")
    address = URL(download.headers["Location"])
    assert address.query["X-Amz-Expires"] == "900"
    async with packages.client.http.get(address) as response:
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''echo-agent-1.0.0.apkg"
        assert await response.read() == package
    async with packages.client.http.get(address.with_query(None)) as response:
        assert response.status == 403, "only the signed address shows it"


async def test_what_is_on_its_way_can_be_fetched_and_what_is_deleted_cannot(packages: Packages, tenant: Tenant) -> None:
    package = apkg()
    told = await packages.deployed(tenant, package)
    path = f"{tenant.path}/{told.package_id}"
    for _ in range(2):
        answer = await packages.call("GET", f"{path}/download", tenant)
        async with packages.client.http.get(URL(answer.headers["Location"])) as response:
            assert await response.read() == package
        await packages.stepped(told)
    await packages.complete(told, current=False)
    assert (await packages.call("DELETE", path, tenant)).status == 200
    assert (await packages.call("GET", f"{path}/download", tenant)).status == 404


async def test_another_accounts_package_is_as_unknown_as_any(packages: Packages, tenant: Tenant) -> None:
    package_id = (await packages.post(tenant, apkg(), to="")).body["package"]["id"]
    stranger = Tenant(app_id=tenant.app_id)
    for method, path in (("GET", ""), ("GET", "/download"), ("DELETE", "")):
        foreign = await packages.call(method, f"{tenant.path}/{package_id}{path}", stranger)
        unknown = await packages.call(method, f"{tenant.path}/{tenant.account_id}{path}", tenant)
        assert (foreign.status, foreign.body["error"], foreign.body["code"]) == (404, "Package not found", "not_found")
        assert (unknown.status, unknown.body["error"], unknown.body["code"]) == (404, "Package not found", "not_found")


async def test_an_app_that_the_gateway_does_not_vouch_for_is_unknown(packages: Packages, tenant: Tenant) -> None:
    other = Tenant(account_id=tenant.account_id)
    answer = await packages.call("GET", tenant.path, other)
    assert (answer.status, answer.body["error"]) == (404, "Agent app not found")


async def test_the_status_fallback_has_the_shape_of_a_deployment(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    answer = await packages.call("GET", f"/internal/submissions/{told.deployment_id}", tenant)
    assert answer.status == 200
    assert answer.body["deployment"] == {
        "id": str(told.deployment_id),
        "status": "queued",
        "package_id": str(told.package_id),
        "agent_app_id": str(tenant.app_id),
        "version": "1.0.0",
        "created_at": WHEN,
        "progress": {
            "current_step": None,
            "steps": [
                {"name": name, "status": "pending"}
                for name in ("validate_package", "upload_to_s3", "generate_metadata", "notify_runtime", "finalize")
            ],
        },
        "source": "upload",
        "queue": {"position": None, "reason": "not_yet_queued", "eta_p50_seconds": None, "eta_p90_seconds": None},
    }
    foreign = await packages.call("GET", f"/internal/submissions/{told.deployment_id}", Tenant())
    assert foreign.status == 404
