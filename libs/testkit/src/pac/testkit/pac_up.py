"""PAC as a newcomer starts it: `pac up --detach` in a folder of its own, driven over HTTP as a client would."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import ClientSession, ClientTimeout, FormData
from yarl import URL

PAC = str(Path(sys.executable).parent / "pac")
PATIENCE_SECONDS = 120.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


async def command(
    *arguments: str, environment: Mapping[str, str] | None = None, patience: float = 180, typed: str = ""
) -> Finished:
    """One call of the `pac` command to its end; `typed` is its stdin."""
    process = await asyncio.create_subprocess_exec(
        PAC,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(typed.encode()), patience)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


@dataclass(frozen=True)
class Tenant:
    """An account with an app and a key of its own, so that tests do not see each other."""

    account_id: str
    app_id: str
    key: str


@dataclass(frozen=True)
class Pac:
    """A running PAC. `status` is what `pac status -o json` says; `watch` is shown every answer, and may raise.

    `traces_file` is where its processes write their spans, if they do.
    """

    status: Json
    http: ClientSession
    watch: Callable[[str, str, Answer], None] = lambda *_: None
    traces_file: Path | None = None

    @property
    def url(self) -> str:
        return str(self.status["gateway_url"])

    @property
    def state_dir(self) -> Path:
        return Path(self.status["state_dir"])

    async def call(self, method: str, path: str, key: str | None = None, **options: Any) -> Answer:
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **options.pop("headers", {})}
        url = path if path.startswith("http") else self.url + path
        async with self.http.request(method, url, headers=headers, allow_redirects=False, **options) as response:
            text = await response.text()
            is_json = "json" in response.content_type
            answer = Answer(
                response.status, response.reason or "", json.loads(text) if is_json else text, response.headers
            )
        self.watch(method, URL(url).path_qs, answer)
        return answer

    async def admin(self, method: str, path: str, body: Json) -> Json:
        answer = await self.call(method, path, self.status["admin_key"], json=body)
        assert answer.status == 201, answer
        assert isinstance(answer.body, dict)
        return answer.body

    async def tenant(self, *, credits: int | None = None) -> Tenant:  # noqa: A002 - the domain's word
        """A fresh account; with `credits`, exactly that many available."""
        account = (await self.admin("POST", "/api/admin/accounts", {"name": f"test {uuid4()}"}))["account"]["id"]
        keys = await self.admin("POST", f"/api/admin/accounts/{account}/api-keys", {"name": "test"})
        key = keys["api_key"]["key"]
        app = await self.call("POST", "/api/agent-apps", key, json={"name": f"app {uuid4()}"})
        assert app.status == 201, app
        if credits is not None:
            available = (await self.credits_opened(key))["available"]
            if credits != available:
                change = {"amount": credits - available, "reason": "test"}
                await self.admin("POST", f"/api/admin/accounts/{account}/credits", change)
        return Tenant(account, app.body["agent_app"]["id"], key)

    async def credits_opened(self, key: str) -> Json:
        """The balance, once billing has heard of the account and given the sign-up credits."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = await self.call("GET", "/api/credits", key)
                if answer.status == 200 and answer.body["available"] > 0:
                    return dict(answer.body)
                await asyncio.sleep(0.05)

    async def deploy(
        self,
        tenant: Tenant,
        package: Path,
        version: str | None = None,
        *,
        file_first: bool = True,
        key: str | None = None,
        signature: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: str,
    ) -> Answer:
        """POST …/packages/deploy, parts in the order of the specification's curl, or of the real client."""
        form = FormData()
        texts = {**({"version": version} if version else {}), **fields}
        with package.open("rb") as file:
            if file_first:
                form.add_field("file", file, filename="agent.apkg")
            for name, text in texts.items():
                form.add_field(name, text)
            if not file_first:
                form.add_field("file", file, filename="agent.apkg")
            if signature is not None:
                form.add_field("signature", signature, filename="agent.apkg.sig")
            path = f"/api/agent-apps/{tenant.app_id}/packages/deploy"
            sent = {**({"Idempotency-Key": key} if key else {}), **(headers or {})}
            return await self.call("POST", path, tenant.key, data=form, headers=sent)

    async def ended(self, deployment: str, key: str, *, patience: float = PATIENCE_SECONDS) -> Json:
        """The deployment once it is completed or failed. Every answer on the way must be a 200."""
        seen: Json = {}
        try:
            async with asyncio.timeout(patience):
                while True:
                    answer = await self.call("GET", f"/api/deployments/{deployment}", key)
                    assert answer.status == 200, answer
                    seen = answer.body["deployment"]
                    if seen["status"] in ("completed", "failed"):
                        return seen
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"deployment does not end: {seen}") from None


@asynccontextmanager
async def pac_up(
    state_dir: Path, *, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> AsyncIterator[Pac]:
    """`pac up --detach` … `pac down`; asserts that nothing of it is left."""
    where = ("--state-dir", str(state_dir))
    traces_file = (environment or {}).get("PAC_TRACES_FILE")
    started = await command("up", "--detach", *where, *options, environment=environment, patience=420)
    assert started.code == 0, f"pac up failed\n{started.out}\n{started.err}"
    try:
        async with ClientSession(timeout=ClientTimeout(total=90)) as http:
            yield Pac(await status_of(state_dir), http, traces_file=Path(traces_file) if traces_file else None)
    finally:
        stopped = await command("down", "--wipe", *where)
        assert stopped.code == 0, f"pac down failed\n{stopped.out}\n{stopped.err}"


async def status_of(state_dir: Path) -> Json:
    said = await command("status", "-o", "json", "--state-dir", str(state_dir))
    assert said.code == 0, said
    status = json.loads(said.out)
    assert isinstance(status, dict)
    return status
