"""Accounts with apps on a running PAC, and what they deploy. Everything by HTTP, as any customer."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from pac.agentkit.build import write_package
from pac.cli.local.errors import Expected
from pac.cli.local.gateway import Denied, Gateway
from pac.cli.local.pac import LocalPac

APPS_PER_ACCOUNT = 4  # what one account may have running at a time, unless somebody has set it otherwise
CREDITS_SECONDS = 30.0
MANIFEST = """\
version: "1.0"
name: bench-agent
display_name: Bench
description: Does nothing.
author: PAC
license: MIT
entrypoint: src.main:handler
runtime: python3.11
environment: {{}}
dependencies: []
metadata:
  version: {version}
"""


@dataclass
class Shop:
    """Packages by version, made once."""

    folder: Path
    made: dict[str, bytes] = field(default_factory=dict)

    def package(self, version: str) -> bytes:
        if version not in self.made:
            self.made[version] = self.write(version).read_bytes()
        return self.made[version]

    def write(self, version: str, content: bytes = b"") -> Path:
        """A package of a version, with `content` beside its code."""
        source = self.folder / version
        (source / "src").mkdir(parents=True)
        (source / "src/main.py").write_text("def handler(context):\n    return context\n")
        (source / "agent.yaml").write_text(MANIFEST.format(version=version))
        (source / ".env").write_text("BENCH=1\n")
        if content:
            (source / "core").mkdir()
            (source / "core/content.bin").write_bytes(content)
        return write_package(source, self.folder)


@dataclass
class Customer:
    """An app, and its account's client. Its versions are counted."""

    gateway: Gateway
    app_id: str
    shop: Shop
    _versions: "count[int]" = field(default_factory=count)

    async def deploy(self) -> str:
        """A new version of the app; the deployment's id as soon as it is accepted."""
        version = f"1.0.{next(self._versions)}"
        return await self.send(self.shop.package(version), version)

    async def send(self, package: Any, version: str) -> str:
        """`package`: bytes, or an open file."""
        form = aiohttp.FormData()
        form.add_field("version", version)
        form.add_field("file", package, filename="agent.apkg", content_type="application/octet-stream")
        path = f"/api/agent-apps/{self.app_id}/packages/deploy"
        answer = await self.gateway.call("POST", path, data=form, what="a deployment of the benchmark was refused")
        return str(answer["deployment"]["id"])

    async def rollback(self) -> str:
        """To the release before the current one; the deployment's id as soon as it is accepted."""
        path = f"/api/agent-apps/{self.app_id}/rollback"
        answer = await self.gateway.call("POST", path, body={}, what="a rollback of the benchmark was refused")
        return str(answer["deployment"]["id"])


@asynccontextmanager
async def customers(pac: LocalPac, apps: int) -> AsyncIterator[list[Customer]]:
    """So many apps, a few to each account; ready to deploy."""
    status = pac.status()
    url, admin_key = str(status["gateway_url"]), str(status["admin_key"])
    async with AsyncExitStack() as ends:
        shop = Shop(Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="pac-bench-agents-"))))
        admin = await ends.enter_async_context(Gateway(url, admin_key))
        found: list[Customer] = []
        while len(found) < apps:
            gateway = await ends.enter_async_context(Gateway(url, await _new_account(admin)))
            for _ in range(min(APPS_PER_ACCOUNT, apps - len(found))):
                made = await gateway.call("POST", "/api/agent-apps", body={"name": f"app {len(found)}"})
                found.append(Customer(gateway, str(made["agent_app"]["id"]), shop))
        for gateway in {id(one.gateway): one.gateway for one in found}.values():
            await _until_it_has_credits(gateway)
        yield found


async def _new_account(admin: Gateway) -> str:
    """Its key."""
    made = await admin.call("POST", "/api/admin/accounts", body={"name": "bench"})
    path = f"/api/admin/accounts/{made['account']['id']}/api-keys"
    return str((await admin.call("POST", path, body={"name": "bench"}))["api_key"]["key"])


async def _until_it_has_credits(gateway: Gateway) -> None:
    try:
        async with asyncio.timeout(CREDITS_SECONDS):
            while True:
                try:
                    if (await gateway.call("GET", "/api/credits")).get("available"):
                        return
                except Denied as denied:
                    if denied.status != 404:  # noqa: PLR2004 - billing has not heard of the account yet
                        raise
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Expected("the benchmark cannot begin", "billing opens no account", "pac doctor") from None
