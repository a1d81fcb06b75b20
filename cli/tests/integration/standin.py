"""Stands in for one service, or for the runtime: ready at once; as the gateway it also knows accounts, apps and keys.

Run as `python standin.py NAME`, with the environment that the real one would get.
"""

import asyncio
import json
import os
import signal
import sys
import uuid
from pathlib import Path

from aiohttp import BodyPartReader, web

ACCOUNTS: dict[str, str] = {}
APPS: dict[str, str] = {}
POLLS: dict[str, int] = {}
STEPS = ("validate_package", "upload_to_s3", "generate_metadata", "notify_runtime", "finalize")


def authorised(request: web.Request, key: str) -> None:
    if request.headers.get("Authorization") != f"Bearer {key}":
        raise web.HTTPUnauthorized(text=json.dumps({"error": "Invalid API key or session", "request_id": "r-1"}))


async def ready(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def open_account(request: web.Request) -> web.Response:
    authorised(request, os.environ["GATEWAY_ADMIN_KEY"])
    return web.json_response({"account": {"id": str(uuid.uuid4())}}, status=201)


async def make_key(request: web.Request) -> web.Response:
    authorised(request, os.environ["GATEWAY_ADMIN_KEY"])
    body = await request.json()
    return web.json_response({"api_key": {"id": "k-1", "name": body["name"], "key": "pac_key"}}, status=201)


async def grant(request: web.Request) -> web.Response:
    authorised(request, os.environ["GATEWAY_ADMIN_KEY"])
    assert request.headers["Idempotency-Key"]
    amount = (await request.json())["amount"]
    return web.json_response({"entry": {"amount": amount, "balance": 1000 + amount}}, status=201)


async def make_app(request: web.Request) -> web.Response:
    authorised(request, "pac_key")
    app_id = str(uuid.uuid4())
    APPS[app_id] = (await request.json())["name"]
    return web.json_response({"agent_app": {"id": app_id}}, status=201)


async def get_app(request: web.Request) -> web.Response:
    authorised(request, "pac_key")
    return web.json_response({"agent_app": {"id": request.match_info["app_id"]}})


async def credits_(request: web.Request) -> web.Response:
    authorised(request, "pac_key")
    return web.json_response({"available": 1000, "reserved": 0, "spent": 0})


async def list_keys(request: web.Request) -> web.Response:
    authorised(request, "pac_key")
    number = int(request.query.get("cursor", "0"))
    keys = [{"id": f"k-{number}", "name": "n", "last4": "abcd", "scopes": ["read"]}]
    return web.json_response({"api_keys": keys, "next_cursor": str(number + 1) if number < 2 else None})


async def deploy(request: web.Request) -> web.Response:
    authorised(request, "pac_key")
    size = 0
    fields: dict[str, str] = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        content = await part.read(decode=False)
        if part.name == "file":
            size = len(content)
        else:
            fields[str(part.name)] = content.decode()
    if fields["version"] == "4.0.2":
        raise web.HTTPPaymentRequired(
            text=json.dumps({"error": "Insufficient credits", "required": 10, "available": 5})
        )
    deployment = {"id": f"d-{fields['version']}", "status": "queued"}
    return web.json_response({"deployment": deployment, "package": {"size_bytes": size}}, status=202)


async def get_deployment(request: web.Request) -> web.Response:
    """Moves on by a step at each look. `d-…-fails` fails at its third step, `d-…-hangs` stays there."""
    authorised(request, "pac_key")
    deployment = request.match_info["deployment_id"]
    polls = POLLS[deployment] = POLLS.get(deployment, 0) + 1
    if polls == 2:
        raise web.HTTPServiceUnavailable(text=json.dumps({"error": "Unavailable"}))
    stuck = deployment.endswith(("fails", "hangs"))
    done = min(polls, 2 if stuck else len(STEPS))
    steps = [{"name": name, "status": "completed" if n < done else "pending"} for n, name in enumerate(STEPS)]
    shown: dict[str, object] = {"id": deployment, "status": "processing", "progress": {"steps": steps}}
    if done == len(STEPS):
        shown |= {"status": "completed", "duration_seconds": 3.5}
    elif deployment.endswith("fails") and polls > 2:
        steps[done]["status"] = "failed"
        shown |= {"status": "failed", "error": "the agent did not start"}
    return web.json_response({"deployment": shown})


async def serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


def gateway() -> web.Application:
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app.router.add_post("/api/admin/accounts", open_account)
    app.router.add_post("/api/admin/accounts/{account_id}/api-keys", make_key)
    app.router.add_post("/api/admin/accounts/{account_id}/credits", grant)
    app.router.add_post("/api/agent-apps", make_app)
    app.router.add_get("/api/agent-apps/{app_id}", get_app)
    app.router.add_get("/api/credits", credits_)
    app.router.add_get("/api/api-keys", list_keys)
    app.router.add_post("/api/agent-apps/{app_id}/packages/deploy", deploy)
    app.router.add_get("/api/deployments/{deployment_id}", get_deployment)
    return app


async def main(name: str) -> None:
    Path(f"environment-{name}.json").write_text(json.dumps(dict(os.environ)))
    admin = web.Application()
    admin.router.add_get("/readyz", ready)
    prefix = "LOCAL_RUNTIME" if name == "runtime" else name.replace("-", "_").upper()
    if (bad := os.environ.get("STANDIN_REFUSES")) == name:
        sys.exit(f"{bad.upper()}_PORT is not a setting")
    await serve(admin, int(os.environ[f"{prefix}_PORT" if name == "runtime" else f"{prefix}_ADMIN_PORT"]))
    if name == "gateway":
        await serve(gateway(), int(os.environ["GATEWAY_PORT"]))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
