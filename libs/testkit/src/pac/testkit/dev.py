"""`pac dev` as a developer runs it: a process that talks, an address to ask, an agent behind it."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

PATIENCE_SECONDS = 60.0
ADDRESS = re.compile(r"^  (http://127\.0\.0\.1:\d+/deployments/dev)/invoke$")


@dataclass
class Dev:
    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    lines: list[str] = field(default_factory=list)
    _heard: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _url: str = ""

    async def read(self) -> None:
        """All that it says, to its end."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._news:
                self.lines.append(line.decode().rstrip("\n"))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    async def says(self, text: str) -> str:
        """The next line that holds this text; lines before it count as heard. The address is remembered."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._news:
                while True:
                    for line in self.lines[self._heard :]:
                        self._heard += 1
                        if found := ADDRESS.match(line):
                            self._url = found[1]
                        if text in line:
                            return line
                    assert self.process.stdout is not None
                    assert not self.process.stdout.at_eof(), f"it ended without {text!r}:\n{self.said}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"it does not say {text!r}:\n{self.said}") from None

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    async def address(self) -> str:
        """What health, invoke and logs of its agent are below."""
        if not self._url:
            await self.says("/deployments/dev")
        return self._url

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> tuple[int, dict[str, Any]]:
        url = f"{await self.address()}{path}"
        async with self.session.request(method, url, headers=headers, json=body or None) as answer:
            return answer.status, await answer.json()

    async def invoke(self, action: str = "hello", context: Any = None) -> Any:
        """The handler's own answer."""
        status, answer = await self.ask("POST", "/invoke", action=action, context=context)
        assert (status, answer.get("error")) == (200, None), answer
        return answer["response"]

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def pac_dev(folder: Path, *options: str, cache: Path, **environ: str) -> AsyncIterator[Dev]:
    """On a free port. Both streams are one, as on a terminal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pac.cli", "dev", str(folder), "--port", "0", *options),
        env={**os.environ, "PAC_CACHE_DIR": str(cache), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with aiohttp.ClientSession() as session:
        dev = Dev(process, session)
        reading = asyncio.create_task(dev.read())
        try:
            yield dev
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await dev.ended()
            await reading
