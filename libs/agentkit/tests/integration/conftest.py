"""A real runtime process, and a small server that packages come from."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web

SECRET = "a-secret-of-the-tests"
CANARY = "canary-of-the-runtime-process"
PATIENCE_SECONDS = 60.0

T = TypeVar("T")
Answer = dict[str, Any]


@dataclass
class PackageServer:
    """Serves what was put under a path, and counts what was asked."""

    origin: str = ""
    contents: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, data: bytes) -> tuple[str, str]:
        self.contents[path] = data
        return f"{self.origin}{path}?signature=do-not-show", hashlib.sha256(data).hexdigest()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path in self.redirects:
            return web.Response(status=302, headers={"Location": self.redirects[request.path]})
        if request.path not in self.contents:
            return web.Response(status=404)
        return web.Response(body=self.contents[request.path])


@pytest.fixture
async def packages() -> AsyncIterator[PackageServer]:
    server = PackageServer()
    app = web.Application()
    app.router.add_get("/{tail:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.origin = f"http://{host}:{port}"
    yield server
    await runner.cleanup()


@dataclass
class RunningRuntime:
    process: subprocess.Popen[bytes]
    url: str
    state: Path
    log: Path
    session: aiohttp.ClientSession
    secret: str = SECRET

    async def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> tuple[int, Answer]:
        sent = {"Authorization": f"Bearer {SECRET}", **(headers or {})}
        async with self.session.post(self.url + path, json=body, headers=sent) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> tuple[int, Answer]:
        async with self.session.get(self.url + path, headers={"Authorization": f"Bearer {SECRET}"}) as answer:
            return answer.status, await answer.json()

    async def deploy(self, deployment_id: str, package: tuple[str, str], **more: object) -> None:
        body = deploy_body(deployment_id, package, **more)
        status, answer = await self.post("/deploy", body, {"Idempotency-Key": deployment_id})
        assert (status, answer) == (202, {"status": "accepted", "deploymentId": deployment_id})

    async def health(self, deployment_id: str) -> Answer:
        status, answer = await self.get(f"/deployments/{deployment_id}/health")
        assert status == 200
        return answer

    async def settled(self, deployment_id: str, *wanted: str) -> Answer:
        """The first health answer with one of these statuses."""
        wanted = wanted or ("healthy", "failed")

        async def reached() -> Answer | None:
            answer = await self.health(deployment_id)
            return answer if answer["status"] in wanted else None

        return await eventually(reached)

    async def invoke(self, deployment_id: str, action: str = "tell", context: object = None) -> Answer:
        status, answer = await self.post(
            f"/deployments/{deployment_id}/invoke", {"action": action, "context": context or {}}
        )
        assert status == 200, answer
        return answer


async def eventually(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Asks until there is an answer."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (answer := await ask()) is None:  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.05)
    return answer


def deploy_body(deployment_id: str, package: tuple[str, str], **more: object) -> Answer:
    url, sha256 = package
    return {
        "deploymentId": deployment_id,
        "agentAppId": "app-1",
        "orgId": "org-1",
        "version": "1.2.0",
        "packageUrl": url,
        "packageSha256": sha256,
        **more,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


StartRuntime = Callable[..., Awaitable[RunningRuntime]]


@contextlib.asynccontextmanager
async def runtimes(folder: Path, origin: str) -> AsyncIterator[StartRuntime]:
    """Starts runtimes on one state folder, and ends what is left of them."""
    started: list[RunningRuntime] = []
    # Below /tmp itself: pytest's own folders are closed to the users that agents get under root.
    state = Path(tempfile.mkdtemp(prefix="pac-runtime-"))
    state.chmod(0o711)
    async with aiohttp.ClientSession() as session:

        async def start(environ: Mapping[str, str] | None = None) -> RunningRuntime:
            port = free_port()
            log = folder / f"runtime-{len(started)}.log"
            environment = {
                **os.environ,
                "LOCAL_RUNTIME_PORT": str(port),
                "LOCAL_RUNTIME_SECRET": SECRET,
                "LOCAL_RUNTIME_STATE_DIR": str(state / "state"),
                "LOCAL_RUNTIME_PACKAGE_ORIGINS": origin,
                "LOCAL_RUNTIME_RESTART_BACKOFF_SECONDS": "0.1",
                "LOCAL_RUNTIME_PING_SECONDS": "0.5",
                "GATEWAY_KEY_PEPPER": CANARY,
                **(environ or {}),
            }
            with log.open("wb") as output:
                process = subprocess.Popen(  # noqa: ASYNC220 - starting is quick, and the tests wait for it anyway
                    [sys.executable, "-m", "pac.agentkit.runtime"], env=environment, stdout=output, stderr=output
                )
            runtime = RunningRuntime(process, f"http://127.0.0.1:{port}", state / "state", log, session)
            started.append(runtime)

            async def ready() -> bool | None:
                assert process.poll() is None, log.read_text()
                try:
                    async with session.get(f"{runtime.url}/readyz") as answer:
                        return answer.status == 200 or None
                except aiohttp.ClientConnectionError:
                    return None

            await eventually(ready)
            return runtime

        yield start
        for runtime in started:
            if runtime.process.poll() is None:
                runtime.process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(runtime.process.wait, 10)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
async def start_runtime(tmp_path: Path, packages: PackageServer) -> AsyncIterator[StartRuntime]:
    async with runtimes(tmp_path, packages.origin) as start:
        yield start


@pytest.fixture(scope="module")
async def shared_runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningRuntime]:
    """One for all tests of a file that neither need packages nor leave anything behind."""
    async with runtimes(tmp_path_factory.mktemp("runtime"), "http://127.0.0.1:1") as start:
        yield await start()


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> RunningRuntime:
    return await start_runtime()


@pytest.fixture
def canary() -> str:
    return CANARY


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def body_of() -> Callable[..., Answer]:
    return deploy_body
