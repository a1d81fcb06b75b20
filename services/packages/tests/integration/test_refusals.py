"""What is refused, how it is told, and that nothing is left of it."""

import asyncio
import socket
from typing import Any

import pytest

from pac.contracts.gateway import AgentAppDeleted
from pac.contracts.topics import ServiceName

from .conftest import PackagesOf
from .harness import NOON, Packages, Tenant, apkg, damaged

MIB = 1024 * 1024


async def test_a_file_that_is_no_zip_is_told_in_the_words_of_the_specification(
    packages: Packages, tenant: Tenant
) -> None:
    answer = await packages.post(tenant, b"this is not a zip file", version="1.0.0")
    assert answer.status == 400
    assert answer.body["error"] == "Package validation failed"
    assert answer.body["details"] == ["Invalid APKG format"]
    assert [problem["code"] for problem in answer.body["problems"]] == ["invalid_apkg"]
    await packages.nothing_left()


async def test_all_faults_of_package_form_and_version_come_at_once(packages: Packages, tenant: Tenant) -> None:
    kept = await packages.post(tenant, apkg("1.2.0"), to="")
    bad = apkg("1.2.0", {"manifest.json": None, ".env": None, "../evil": b"x"})
    answer = await packages.post(tenant, bad, version="1.2.0", colour="blue", environment='{"A": 5}')
    assert (answer.status, answer.body["error"], answer.body["code"]) == (
        400,
        "Package validation failed",
        "invalid_package",
    )
    details = answer.body["details"]
    for expected in (
        "Unknown field colour",
        "Field environment gives A a value that is not text",
        "Missing required manifest.json",
        "Missing required .env file at project root",
        "../evil: a path that leaves its folder (..)",
        "Version already exists",
    ):
        assert expected in details
    assert [problem["message"] for problem in answer.body["problems"]] == details
    assert answer.body["existing"]["package_id"] == kept.body["package"]["id"]
    await packages.nothing_left(events=1)


async def test_a_version_that_exists_is_told_with_who_has_it(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    same = await packages.post(tenant, apkg())
    other = await packages.post(tenant, apkg(changes={"src/other.py": b"1"}))
    for answer, same_content in ((same, told.sha256 == same.body["existing"]["sha256"]), (other, False)):
        assert (answer.status, answer.body["code"]) == (400, "version_exists")
        assert answer.body["error"] == "Package validation failed"
        assert answer.body["details"] == ["Version already exists"]
        assert answer.body["existing"] == {
            "package_id": str(told.package_id),
            "sha256": told.sha256,
            "same_content": same_content,
            "deployment_id": str(told.deployment_id),
            "status_url": f"https://your-app.com/api/deployments/{told.deployment_id}",
        }


async def test_texts_that_no_database_holds_are_a_fault_of_the_package(packages: Packages, tenant: Tenant) -> None:
    manifest = '{"name": "echo-agent", "version": "1.0.0%s", "entrypoint": "src.main:handler", "description": "%s"}'
    for made in (manifest % ("", "\\u0000"), manifest % ("\\ud800", "")):
        for to in ("", "/deploy"):
            answer = await packages.post(tenant, apkg(changes={"manifest.json": made.encode()}), to=to)
            assert (answer.status, answer.body["error"]) == (400, "Package validation failed")
            assert answer.body["details"] == ["manifest.json cannot be read: it holds a character that is no text"]
    await packages.nothing_left()


async def test_another_version_than_the_packages_own_is_refused(packages: Packages, tenant: Tenant) -> None:
    answer = await packages.post(tenant, apkg("1.0.0"), version="2.0.0")
    assert answer.status == 400
    assert answer.body["details"] == ["Version 2.0.0 was requested, but the package says 1.0.0"]


async def test_an_upload_is_validated_whole_before_the_answer(packages: Packages, tenant: Tenant) -> None:
    answer = await packages.post(tenant, damaged(), to="")
    assert answer.status == 400
    assert [problem["code"] for problem in answer.body["problems"]] == ["checksum_wrong"]
    await packages.nothing_left()
    assert await packages.keys() == []


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"surprise": "1"}, "Unknown field surprise"),
        ({"force_overwrite": "perhaps"}, "Field force_overwrite must be true or false"),
        ({"environment": "[1]"}, "Field environment must be a JSON object of names and text values"),
        ({"release_notes": "x" * 70_000}, "Field release_notes is longer than 65536 bytes"),
    ],
)
async def test_a_bad_field_is_named(packages: Packages, tenant: Tenant, fields: dict[str, Any], detail: str) -> None:
    answer = await packages.post(tenant, apkg(), **fields)
    assert (answer.status, answer.body["code"], answer.body["details"]) == (400, "invalid_request", [detail])
    await packages.nothing_left()


async def test_a_missing_file_is_named(packages: Packages, tenant: Tenant) -> None:
    answer = await packages.post(tenant, None, version="1.0.0")
    assert (answer.status, answer.body["details"]) == (400, ["Field file is missing"])


async def test_too_large_is_refused_by_the_headers_alone(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(max_size_bytes=100 * MIB)
    headers = {"Content-Length": str(120 * MIB), "Content-Type": "multipart/form-data; boundary=x"}
    answer = await raw_request(packages, tenant, headers, b"--x\r\n")
    assert answer.startswith(b"HTTP/1.1 413 Package too large: 120 MB, limit is 100 MB\r\n")
    await packages.nothing_left()


async def test_too_large_is_refused_on_the_way(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(max_size_bytes=2 * MIB)
    answer = await packages.post(tenant, b"x" * (3 * MIB))
    assert (answer.status, answer.reason) == (413, "Package too large: 4 MB, limit is 2 MB")
    assert answer.body["max_size_bytes"] == 2 * MIB
    await packages.nothing_left()


async def test_an_endless_preamble_is_not_swallowed(packages: Packages, tenant: Tenant) -> None:
    headers = {"Content-Length": str(50 * MIB), "Content-Type": "multipart/form-data; boundary=x"}
    answer = await raw_request(packages, tenant, headers, (b"a" * 1000 + b"\r\n") * (4 * 1024))
    assert answer.startswith(b"HTTP/1.1 413 The form around the package is too large\r\n")
    await packages.nothing_left()


async def test_a_body_that_stops_coming_is_given_up(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(upload_idle_seconds=0.3)
    headers = {"Content-Length": "5000", "Content-Type": "multipart/form-data; boundary=x"}
    answer = await raw_request(packages, tenant, headers, FILE_PART)
    assert answer.startswith(b"HTTP/1.1 408 ")
    await packages.nothing_left()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"},
    ],
)
async def test_another_kind_of_body_is_415(packages: Packages, tenant: Tenant, headers: dict[str, str]) -> None:
    answer = await raw_request(packages, tenant, {**headers, "Content-Length": "2"}, b"{}")
    assert answer.startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize(
    "body", [b"", b"--x\r\n\r\n", b"--y\r\n", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc']
)
async def test_a_malformed_form_is_a_400(packages: Packages, tenant: Tenant, body: bytes) -> None:
    headers = {"Content-Length": str(len(body)), "Content-Type": "multipart/form-data; boundary=x"}
    answer = await raw_request(packages, tenant, headers, body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    await packages.nothing_left()


async def test_a_deleted_app_takes_no_more_claims(packages: Packages, tenant: Tenant) -> None:
    event = AgentAppDeleted(account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id)
    await packages.hear(ServiceName.GATEWAY, f"app-{tenant.app_id}", event)
    answer = await packages.post(tenant, apkg())
    assert (answer.status, answer.body["error"]) == (404, "Agent app not found")
    await packages.nothing_left()


async def test_of_fifty_deploys_of_one_version_at_once_one_is_accepted(packages: Packages, tenant: Tenant) -> None:
    answers = await asyncio.gather(
        *(packages.post(tenant, apkg("1.0.0", {"src/n.py": str(n).encode()}), version="1.0.0") for n in range(50))
    )
    accepted = [answer for answer in answers if answer.status == 202]
    refused = [answer for answer in answers if answer.status == 400]
    assert (len(accepted), len(refused)) == (1, 49)
    assert all(answer.body["details"] == ["Version already exists"] for answer in refused)
    assert {a.body["existing"]["package_id"] for a in refused} == {accepted[0].body["package"]["id"]}
    assert len(await packages.keys()) == 1
    assert packages.temporary() == []
    assert await packages.rows("SELECT key FROM state.leftovers") == []
    for table in ("packages", "versions", "submissions"):
        assert len(await packages.rows(f"SELECT 1 FROM state.{table}")) == 1  # noqa: S608 - names above
    assert len(await packages.rows("SELECT 1 FROM log.events")) == 1


# ---- a client that goes away ---------------------------------------------------------------------------------------

FILE_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.apkg"\r\n\r\n' + b"f" * 1000


async def raw_request(packages: Packages, tenant: Tenant, headers: dict[str, str], body: bytes) -> bytes:
    """What comes back first, for requests that no client library would send."""
    reader, writer = await opened(packages, tenant, headers)
    try:
        writer.write(body)
        async with asyncio.timeout(10):
            return bytes(await reader.read(2000))
    finally:
        writer.close()


async def opened(packages: Packages, tenant: Tenant, headers: dict[str, str]) -> tuple[Any, Any]:
    path = f"{tenant.path}/deploy"
    sent = {**packages.client.headers("POST", path, tenant.caller()), **headers, "Host": "packages"}
    reader, writer = await asyncio.open_connection("127.0.0.1", packages.running.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode())
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("offset", [0, 5, 100, 500_000, 9 * MIB, 19 * MIB])
async def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    packages: Packages, tenant: Tenant, offset: int
) -> None:
    body = FILE_PART + b"f" * (20 * MIB)
    headers = {"Content-Length": str(len(body) + 100), "Content-Type": "multipart/form-data; boundary=x"}
    _, writer = await opened(packages, tenant, headers)
    writer.write(body[:offset])
    await writer.drain()
    if offset >= MIB:
        async with asyncio.timeout(10):
            while not packages.temporary():  # noqa: ASYNC110 - until the server has begun to store it
                await asyncio.sleep(0.01)
    # Reset, as a process that is killed does.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()
    await packages.nothing_left()
