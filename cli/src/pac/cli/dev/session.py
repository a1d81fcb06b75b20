"""One run of `pac dev`: load the folder, follow what becomes of it, load it again when it changes."""

import asyncio
import itertools
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from watchfiles import Change, DefaultFilter, awatch

from pac.agentkit.apkg import Problem
from pac.agentkit.runtime.api import Answer
from pac.agentkit.runtime.deployment import Deployment, Status
from pac.agentkit.runtime.fleet import Fleet, NotFound
from pac.agentkit.runtime.wire import DeployRequest, error_body
from pac.cli.dev.given import Given
from pac.cli.dev.packing import Packed, Refused, Shelf
from pac.cli.dev.shown import View
from pac.cli.local.errors import Expected
from pac.cli.stopping import Asked

ID = "dev"
QUIET_MS, LONGEST_MS = 100, 1600  # a change is over when nothing more comes for so long; but never later than that
PATIENCE_SECONDS = 2.0
NOISE = DefaultFilter()


@dataclass
class Session:
    folder: Path
    fleet: Fleet
    shelf: Shelf
    given: Given
    view: View
    _loaded: tuple[str, dict[str, str]] | None = field(default=None, repr=False)
    _latest: Deployment | None = None
    _changes: set[Path] = field(default_factory=set)
    _following: set[asyncio.Task[None]] = field(default_factory=set)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def find(self, deployment_id: str) -> Deployment:
        """What serves: the newest that is healthy, else the newest of all."""
        if deployment_id != ID:
            raise NotFound(deployment_id)
        serving = self._serving() or self._latest
        if serving is None:
            raise Answer(503, error_body("The agent is not loaded: pac dev says why"))
        return serving

    async def run(self, asked: Asked) -> None:
        """Until it is asked to end; then nothing of the agent is left. Expected when the folder cannot be watched."""
        try:
            while not asked.first.is_set():
                await self._turn(asked.first)
        finally:
            self.view.ends()
            await asked.ended(self.fleet.close(), self.fleet.kill)
            await asyncio.gather(*self._following)

    async def _turn(self, stop: asyncio.Event) -> None:
        watching = asyncio.create_task(self._next_changes(stop))
        try:
            await asyncio.sleep(0)  # it watches before the folder is read: no change is missed
            await self._load()
            self._changes = await watching
        finally:
            watching.cancel()

    async def _next_changes(self, stop: asyncio.Event) -> set[Path]:
        """Empty once `stop` is set."""
        files = [file for file in self.given.files if file.exists()]
        watched = awatch(
            self.folder,
            *files,
            watch_filter=self._counts,
            debounce=LONGEST_MS,
            step=QUIET_MS,
            stop_event=stop,
            ignore_permission_denied=True,
        )
        try:
            async with aclosing(watched) as changes:
                async for found in changes:
                    return {Path(path) for _, path in found}
        except OSError as fault:
            raise Expected(
                f"{self.folder} cannot be watched", str(fault), "WATCHFILES_FORCE_POLLING=1 pac dev DIR"
            ) from None
        return set()

    def _counts(self, change: Change, path: str) -> bool:
        """Below the folder, for it may itself lie below one of the names that are noise."""
        inner = Path(path)
        if self.fleet.places.root in inner.parents:  # ours, wherever it lies
            return False
        return NOISE(change, str(inner.relative_to(self.folder)) if self.folder in inner.parents else inner.name)

    async def _load(self) -> None:
        """Nothing happens when package and layer of the request are those that run; what has failed is tried again."""
        begun = time.monotonic()
        try:
            packed = await asyncio.to_thread(self.shelf.pack, self.folder)
            request = self._request(packed)
        except Refused as refused:
            self._loaded = None
            self.view.changed(self._changes)
            self.view.refused(refused.problems, still=self._serving() is not None)
            return
        wanted = packed.sha256, request.environment
        same = wanted == self._loaded and self._latest is not None and not self._latest.is_over
        self.view.changed(self._changes, same=same)
        if same:
            return
        self._loaded = wanted
        self.view.warned(packed.warnings)
        if self._latest is not None and self._latest.status is not Status.HEALTHY:
            self.fleet.stop(self._latest, "Replaced by a later change")
        self._latest = self.fleet.deploy(request)
        task = asyncio.create_task(self._follow(self._latest, packed, begun))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def _request(self, packed: Packed) -> DeployRequest:
        """As a client sends it: the manifest's environment, and what is given over it."""
        try:
            return DeployRequest.model_validate(
                {
                    "deploymentId": f"{ID}-{next(self._numbers)}",
                    "agentAppId": ID,
                    "orgId": ID,
                    "version": packed.manifest.version,
                    "packageSha256": packed.sha256,
                    "environment": {**packed.manifest.environment, **self.given.values()},
                }
            )
        except OSError as fault:
            text = f"{fault.filename}, which --env names, cannot be read: {fault.strerror}"
            raise Refused(Problem("env_file_unreadable", text)) from None
        except ValidationError:
            text = "The layer of the request (environment in agent.yaml, --env) holds a name that no variable can have"
            raise Refused(Problem("environment_invalid", text)) from None

    async def _follow(self, deployment: Deployment, packed: Packed, begun: float) -> None:
        """Says what becomes of it, until it is over; what takes long is said as well."""
        told = None
        while True:
            if told != (told := (deployment.status, deployment.message)):
                match deployment.status:
                    case Status.HEALTHY:
                        self.view.serves(packed, time.monotonic() - begun, deployment.explained)
                    case Status.FAILED:
                        still = None if not deployment.ending else self._serving() is not None
                        self.view.failed(deployment.message or "The agent failed", still=still)
                        begun = time.monotonic()
            if deployment.is_over:
                return
            change = deployment.change
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await change.wait()
            except TimeoutError:
                self.view.takes_long(deployment.status)
                await change.wait()

    def _serving(self) -> Deployment | None:
        newest_first = reversed(self.fleet.deployments.values())
        return next((one for one in newest_first if one.status is Status.HEALTHY), None)
