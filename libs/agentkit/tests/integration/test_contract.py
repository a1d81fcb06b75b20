"""What the runtime answers to requests that are not quite right: the contract's shapes, to the letter."""

from typing import Any

import aiohttp
import pytest

PACKAGE = ("http://127.0.0.1:1/p.apkg", "0" * 64)


def problem(message: str) -> dict[str, str]:
    return {"error": "HTTPException", "message": message}


@pytest.mark.parametrize("path", ["/deploy", "/runtime/deploy"])
async def test_deploy_asks_for_secret_and_key(path: str, shared_runtime: Any, body_of: Any) -> None:
    body = body_of("d-1", PACKAGE)
    async with aiohttp.ClientSession() as session:
        async with session.post(shared_runtime.url + path, json=body) as answer:
            assert (answer.status, await answer.json()) == (401, problem("Missing or invalid Authorization header"))
        async with session.post(shared_runtime.url + path, json=body, headers={"Authorization": "Bearer no"}) as answer:
            assert (answer.status, await answer.json()) == (403, problem("Invalid runtime secret"))
    assert await shared_runtime.post(path, body) == (400, problem("Idempotency-Key header required"))
    other = await shared_runtime.post(path, body, {"Idempotency-Key": "d-2"})
    assert other == (400, problem("Idempotency-Key must equal deploymentId"))
    assert (await shared_runtime.post(path, body, {"Idempotency-Key": "d-1"}))[0] == 202


@pytest.mark.parametrize("path", ["/deployments", "/deployments/x/health", "/deployments/x/logs"])
async def test_every_other_path_asks_for_the_secret_too(path: str, shared_runtime: Any) -> None:
    async with aiohttp.ClientSession() as session, session.get(shared_runtime.url + path) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("change", "kind", "where"),
    [
        ({"version": None}, "string_type", ["body", "version"]),
        ({"packageUrl": "s3://bucket/key"}, "value_error", ["body", "packageUrl"]),
        ({"packageUrl": {"bucket": "b", "key": "k"}}, "string_type", ["body", "packageUrl"]),
        ({"packageUrl": "http://user:pw@127.0.0.1/x"}, "value_error", ["body", "packageUrl"]),
        ({"packageSha256": "xyz"}, "string_pattern_mismatch", ["body", "packageSha256"]),
        ({"environment": {"A": 5}}, "string_type", ["body", "environment", "A"]),
        ({"agentAppId": "../x"}, "string_pattern_mismatch", ["body", "agentAppId"]),
        ({"surprise": 1}, "extra_forbidden", ["body", "surprise"]),
    ],
)
async def test_a_wrong_field_is_named_and_its_value_is_not_repeated(
    change: dict[str, object], kind: str, where: list[str], shared_runtime: Any, body_of: Any
) -> None:
    body = {**body_of("d-1", PACKAGE), **change}
    status, answer = await shared_runtime.post("/deploy", body, {"Idempotency-Key": "d-1"})
    assert (status, answer["error"], answer["message"]) == (422, "ValidationError", "Invalid request data")
    assert [(detail["type"], detail["loc"]) for detail in answer["details"]] == [(kind, where)]
    assert "user:pw" not in str(answer)


async def test_a_missing_field_and_no_json_are_422(shared_runtime: Any, body_of: Any) -> None:
    body = {key: value for key, value in body_of("d-1", PACKAGE).items() if key != "orgId"}
    status, answer = await shared_runtime.post("/deploy", body, {"Idempotency-Key": "d-1"})
    assert (status, answer["details"]) == (
        422,
        [{"type": "missing", "loc": ["body", "orgId"], "msg": "Field required"}],
    )
    headers = {"Authorization": f"Bearer {shared_runtime.secret}", "Idempotency-Key": "d-1"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{shared_runtime.url}/deploy", data=b"{", headers=headers) as answer,
    ):
        assert answer.status == 422


async def test_too_much_is_413_and_unknown_is_404(start_runtime: Any, body_of: Any) -> None:
    runtime = await start_runtime({"LOCAL_RUNTIME_REQUEST_SIZE_BYTES": "65536"})
    body = body_of("d-1", PACKAGE, environment={"A": "x" * 100_000})
    assert (await runtime.post("/deploy", body, {"Idempotency-Key": "d-1"}))[0] == 413
    for path in ("/deployments/none/health", "/deployments/none/logs"):
        assert await runtime.get(path) == (404, problem("Deployment not found"))
    invoked = await runtime.post("/deployments/none/invoke", {"action": "x", "context": {}})
    assert invoked == (404, problem("Deployment not found"))


async def test_no_package_url_is_accepted_and_then_fails(shared_runtime: Any, body_of: Any) -> None:
    body = {key: value for key, value in body_of("d-9", PACKAGE).items() if key != "packageUrl"}
    assert (await shared_runtime.post("/deploy", body, {"Idempotency-Key": "d-9"}))[0] == 202
    assert (await shared_runtime.settled("d-9"))["message"] == "packageUrl is required"
