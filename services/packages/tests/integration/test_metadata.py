"""What is told of a package by itself: manifest, files, bill of materials, origin. No secret, and no long event."""

import hashlib
import io
import zipfile
from typing import Any

from .harness import Packages, Tenant, apkg

HIDDEN = "hunter2-of-the-index"
MANIFEST = (
    b'{"name": "echo-agent", "version": "1.0.0", "entrypoint": "src.main:handler", "license": "MIT",'
    b' "environment": {"MODE": "hunter2-of-the-index"}, "metadata": {"version": "1.0.0", "homepage": "https://example.com"},'
    b' "dependencies": ["x @ https://hunter2-of-the-index@example.com/x.whl"]}'
)
REQUIREMENTS = f"httpx==0.28.1\n--extra-index-url https://u:{HIDDEN}@example.com/simple\n".encode()
PACKAGE = apkg(changes={"manifest.json": MANIFEST, "requirements.txt": REQUIREMENTS})


async def shown(packages: Packages, tenant: Tenant, package_id: Any) -> dict[str, Any]:
    answer = await packages.call("GET", f"{tenant.path}/{package_id}", tenant)
    assert answer.status == 200, answer
    package: dict[str, Any] = answer.body["package"]
    return package


async def test_an_upload_is_told_whole(packages: Packages, tenant: Tenant) -> None:
    package_id = (await packages.post(tenant, PACKAGE, to="")).body["package"]["id"]
    package = await shown(packages, tenant, package_id)
    assert package["manifest"]["license"] == "MIT"
    assert package["manifest"]["homepage"] == "https://example.com"
    assert package["manifest"]["environment_names"] == ["MODE"]
    assert package["metadata"]["unpacked_bytes"] == sum(file["size_bytes"] for file in package["metadata"]["files"])
    digests = {file["name"]: file["sha256"] for file in package["metadata"]["files"]}
    assert digests["requirements.txt"] == hashlib.sha256(REQUIREMENTS).hexdigest()
    assert [(one["name"], one["version"]) for one in package["sbom"]["components"]] == [("httpx", "0.28.1")]
    [digest] = package["sbom"]["metadata"]["component"]["hashes"]
    assert digest == {"alg": "SHA-256", "content": hashlib.sha256(PACKAGE).hexdigest()}
    assert package["provenance"] == {
        "uploaded_by": "key-test",
        "uploaded_at": package["provenance"]["uploaded_at"],
        "sha256": hashlib.sha256(PACKAGE).hexdigest(),
        "size_bytes": len(PACKAGE),
        "stream": f"package-{package_id}",
    }
    assert HIDDEN not in str(package)


async def test_a_deployed_package_comes_from_its_first_deployment(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, PACKAGE)
    before = await shown(packages, tenant, told.package_id)
    assert before["provenance"]["deployment_id"] == str(told.deployment_id)
    assert "sbom" not in before  # not looked at whole yet
    await packages.stepped(told)
    await packages.complete(told)
    again = await packages.call("POST", f"{tenant.path}/{told.package_id}/deploy", tenant, json={})
    assert again.status == 202
    package = await shown(packages, tenant, told.package_id)
    assert package["provenance"] == before["provenance"]
    assert package["provenance"]["sha256"] == told.sha256
    assert package["sbom"]["bomFormat"] == "CycloneDX"
    rows = await packages.rows("SELECT data::text AS data FROM log.events")
    assert HIDDEN not in str(rows)


async def test_ten_thousand_files_are_in_the_answer_and_in_no_event(packages: Packages, tenant: Tenant) -> None:
    file = io.BytesIO(PACKAGE)
    with zipfile.ZipFile(file, "a") as archive:
        for number in range(9_900):
            archive.writestr(zipfile.ZipInfo(f"src/folder{number % 100}/file{number}.txt"), b"x")
    told = await packages.deployed(tenant, file.getvalue())
    await packages.stepped(told)
    package = await shown(packages, tenant, told.package_id)
    assert len(package["metadata"]["files"]) == 9_900 + len(zipfile.ZipFile(io.BytesIO(PACKAGE)).namelist())
    [[longest]] = await packages.rows("SELECT max(length(data::text)) FROM log.events")
    assert longest < 2000
