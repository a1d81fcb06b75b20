"""All deployments of this runtime: brings each from its request to a healthy agent, replaces, restarts and stops."""

import asyncio
import itertools
import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from pac.agentkit.environment import BASE_NAMES, BadEnvironment, Layers, allowed, explain, merge
from pac.agentkit.providers import ProviderFailed, SecretsProvider
from pac.agentkit.runtime.agent import Agent, Start, start_agent
from pac.agentkit.runtime.deployment import Deployment, Status
from pac.agentkit.runtime.faults import DeploymentFailed
from pac.agentkit.runtime.isolation import Isolation
from pac.agentkit.runtime.output import Listen, Output, Redactor, unheard
from pac.agentkit.runtime.places import Places
from pac.agentkit.runtime.settings import Settings
from pac.agentkit.runtime.unpack import Unpacked, unpack
from pac.agentkit.runtime.venvs import Venvs
from pac.agentkit.runtime.wire import DeployRequest

logger = structlog.get_logger(__name__)

CALM_SECONDS = 600.0
MISSED_PINGS = 2
SESSION_NAMES = ("USER", "LOGNAME", "HOSTNAME", "TERM", "COLORTERM", "LANGUAGE", "LC_*", "XDG_*")


class NotFound(Exception):  # noqa: N818 - it says what happened, as a name
    """No deployment of this id."""


class Source(Protocol):
    """Where packages come from."""

    async def fetch(self, request: DeployRequest, target: Path) -> None:
        """Leaves the package at `target`; the caller removes the file, also after DeploymentFailed."""


@dataclass(frozen=True)
class Fleet:
    """`base`: what agents inherit of the starting process. `listen` hears every line that agents print."""

    settings: Settings
    places: Places
    isolation: Isolation
    source: Source
    venvs: Venvs
    provider: SecretsProvider
    base: Mapping[str, str] = field(repr=False)
    turns: asyncio.Semaphore
    listen: Listen = unheard
    deployments: dict[str, Deployment] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def deploy(self, request: DeployRequest) -> Deployment:
        """Accepts it. The same id again changes nothing, whatever became of the first."""
        if (known := self.deployments.get(request.deployment_id)) is not None:
            return known
        self._forget_oldest()
        number = next(self._numbers)
        output = Output(self.places.log(number), self.settings.agent_log_bytes, self.listen)
        deployment = Deployment(number, request, output)
        self.deployments[deployment.id] = deployment
        deployment.task = asyncio.create_task(self._run(deployment), name=f"deployment-{number}")
        logger.info("deployment_accepted", deployment_id=deployment.id, agent_app_id=deployment.app)
        return deployment

    def get(self, deployment_id: str) -> Deployment:
        try:
            return self.deployments[deployment_id]
        except KeyError:
            raise NotFound(deployment_id) from None

    def stop(self, deployment: Deployment, reason: str) -> None:
        """Begins to stop it; `deployment.ended` is set when nothing of it is left."""
        if deployment.ending or deployment.stop_reason is not None or deployment.task is None:
            return
        deployment.stop_reason = reason
        deployment.moved(Status.STOPPING)
        deployment.task.cancel()

    async def close(self) -> None:
        for deployment in self.deployments.values():
            self.stop(deployment, "The runtime ends")
        running = [d.task for d in self.deployments.values() if d.task is not None and not d.task.done()]
        if running:
            await asyncio.wait(running)

    async def kill(self) -> None:
        """Ends all agents at once, without the grace that a stop gives them."""
        agents = [deployment.agent for deployment in self.deployments.values() if deployment.agent is not None]
        for agent in agents:
            agent.kill()
        for agent in agents:
            await agent.ended.wait()

    async def _run(self, deployment: Deployment) -> None:
        try:
            async with self.turns:
                unpacked, python = await self._prepare(deployment)
            await self._keep_running(deployment, unpacked, python)
        except asyncio.CancelledError:
            pass  # stop() is the only one who cancels
        except DeploymentFailed as fault:
            self._failed(deployment, str(fault))
        except Exception:
            logger.exception("deployment_broke", deployment_id=deployment.id)
            self._failed(deployment, "The runtime could not run this deployment: an internal fault")
        finally:
            deployment.ending = True
            await self._clean_up(deployment)

    def _failed(self, deployment: Deployment, message: str) -> None:
        deployment.moved(Status.FAILED, message)
        logger.warning("deployment_failed", deployment_id=deployment.id, reason=message)

    async def _clean_up(self, deployment: Deployment) -> None:
        if deployment.agent is not None:
            await deployment.agent.stop(self.settings.stop_grace_seconds)
            deployment.agent = None
        await asyncio.to_thread(shutil.rmtree, self.places.agent(deployment.number), ignore_errors=True)
        deployment.slot = None
        if deployment.stop_reason is not None:
            deployment.moved(Status.STOPPED, deployment.stop_reason)
            logger.info("deployment_stopped", deployment_id=deployment.id, reason=deployment.stop_reason)
        deployment.over()

    async def _prepare(self, deployment: Deployment) -> tuple[Unpacked, Path]:
        deployment.slot = self._free_slot()
        package = self.places.download(deployment.number)
        deployment.moved(Status.DOWNLOADING)
        try:
            await self.source.fetch(deployment.request, package)
            deployment.moved(Status.LOADING)
            user = self.isolation.agent(deployment.slot)
            root = await asyncio.to_thread(self.places.make_agent, deployment.number, user)
            unpacked = await _unpacked(package, root, user)
        finally:
            package.unlink(missing_ok=True)
        venv = await self.venvs.prepare(unpacked.requirements)
        deployment.moved(Status.DEPLOYED)
        return unpacked, venv

    async def _keep_running(self, deployment: Deployment, unpacked: Unpacked, venv: Path) -> None:
        """The first start must succeed; later ends are answered with restarts, fewer and fewer."""
        left = self.settings.restarts
        loop = asyncio.get_running_loop()
        while True:
            deployment.moved(Status.STARTING)
            agent = await self._start(deployment, unpacked, venv)
            deployment.agent = agent
            deployment.moved(Status.HEALTHY)
            logger.info("deployment_healthy", deployment_id=deployment.id, agent_app_id=deployment.app)
            self._replace_others(deployment)
            since = loop.time()
            await self._watch(deployment, agent)
            if loop.time() - since > CALM_SECONDS:
                left = self.settings.restarts
            deployment.agent = None
            told = agent.told_end()
            if left == 0:
                raise DeploymentFailed(told)
            pause = self.settings.restart_backoff_seconds * 2 ** (self.settings.restarts - left)
            left -= 1
            self._failed(deployment, f"{told} (starting it again in {pause:g} s, {left} more tries after that)")
            await asyncio.sleep(pause)

    async def _start(self, deployment: Deployment, unpacked: Unpacked, venv: Path) -> Agent:
        settings = self.settings
        try:
            provided = await self.provider.fetch()
            home = self.places.home(deployment.number)
            base = {
                **self.base,
                "PATH": f"{venv / 'bin'}:{self.base.get('PATH', '/usr/bin:/bin')}",
                "HOME": str(home),
                "TMPDIR": str(self.places.temporary(deployment.number)),
            }
            layers = Layers(deployment.request.environment, provided, unpacked.dotenv, base)
            environment = merge(layers)
        except (ProviderFailed, BadEnvironment) as fault:
            raise DeploymentFailed(f"The agent is not started: {fault}") from None
        deployment.explained = explain(layers)
        # A traceback tells the agent's own path: no value that is part of it is a secret.
        deployment.output.redactor = Redactor.of(
            _hidden(base), layers.dotenv, layers.provider, layers.request, public=str(unpacked.root)
        )
        user = self.isolation.agent(deployment.slot or 0)
        limits = {
            "RLIMIT_CORE": 0,
            "RLIMIT_AS": settings.agent_address_space_bytes,
            "RLIMIT_FSIZE": settings.agent_file_size_bytes,
            "RLIMIT_NOFILE": settings.agent_open_files,
        }
        if user is not None:  # it counts all processes of the user: only right for a user of its own
            limits["RLIMIT_NPROC"] = settings.agent_processes
        start = Start(
            python=venv / "bin" / "python",
            bootstrap=self.places.bootstrap,
            root=unpacked.root,
            entrypoint=unpacked.entrypoint,
            environment=environment,
            user=user,
            limits=limits,
            answer_bytes=max(settings.answer_size_bytes, settings.request_size_bytes),
            start_timeout_seconds=settings.start_timeout_seconds,
        )
        return await start_agent(start, deployment.output)

    async def _watch(self, deployment: Deployment, agent: Agent) -> None:
        """Until the agent ends; meanwhile asks it now and then whether it still answers."""
        missed = 0
        seconds = self.settings.ping_seconds
        while not agent.ended.is_set():
            missed = 0 if await agent.ping(seconds) else missed + 1
            deployment.answers = missed < MISSED_PINGS
            deployment.message = None if deployment.answers else "The agent does not answer"
            try:
                async with asyncio.timeout(seconds):
                    await agent.ended.wait()
            except TimeoutError:
                continue

    def _replace_others(self, deployment: Deployment) -> None:
        """Of one app one agent serves: the one that was asked for last."""
        for other in self.deployments.values():
            if other.app != deployment.app or other is deployment:
                continue
            if other.number < deployment.number:
                self.stop(other, "Replaced by a later deployment")
            elif other.status is Status.HEALTHY:
                self.stop(deployment, "A later deployment already serves")

    def _free_slot(self) -> int:
        taken = {d.slot for d in self.deployments.values() if d.slot is not None}
        slot = next(number for number in itertools.count() if number not in taken)
        if slot >= self.settings.agent_slots:
            raise DeploymentFailed(f"The runtime is full: {self.settings.agent_slots} agents run already")
        return slot

    def _forget_oldest(self) -> None:
        over = [d for d in self.deployments.values() if d.is_over]
        for deployment in over[: max(0, len(over) - self.settings.remembered + 1)]:
            del self.deployments[deployment.id]
            deployment.output.remove()


def _hidden(base: Mapping[str, str]) -> dict[str, str]:
    """What was inherited may be a secret too; paths are none, and neither is who and where we are."""
    public = allowed(base, (*BASE_NAMES, *SESSION_NAMES))
    return {key: value for key, value in base.items() if key not in public and not _is_place(value)}


def _is_place(value: str) -> bool:
    """A path that exists, or a list of them. A secret may begin with a slash, too."""
    first = value.partition(os.pathsep)[0]
    return os.path.isabs(first) and os.path.exists(first)  # noqa: PTH110, PTH117 - what is too long is no path here


async def _unpacked(package: Path, root: Path, user: int | None) -> Unpacked:
    """In a thread, which no cancellation leaves behind: it would go on writing where everything is being removed."""
    given_up = threading.Event()
    unpacking = asyncio.create_task(asyncio.to_thread(unpack, package, root, user, given_up.is_set))
    try:
        return await asyncio.shield(unpacking)
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.wait({unpacking})
        raise
