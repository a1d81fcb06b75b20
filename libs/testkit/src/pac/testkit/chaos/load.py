"""Deployments through the public API, by clients that do as the specification tells them: wait as Retry-After says,
and ask for the same version again when an answer got lost.

What may never be answered is written down as a fault, not raised: the load goes on, and the test says all of it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import ClientError

from pac.testkit.agents import CRASHES, packed_agent
from pac.testkit.chaos.bench import ANSWER_SECONDS, Ground
from pac.testkit.eventually import eventually
from pac.testkit.laws import laws_hold
from pac.testkit.pac_up import Answer, Tenant
from pac.testkit.whole import LawsBroken

PATIENCE_SECONDS = 150.0
PAUSE_SECONDS = 0.3
SLOW_SECONDS = 3.0
FAULTS_MAX = 50


class Kind(StrEnum):
    GOOD = "good"
    DAMAGED = "damaged"  # found by the step validate_package
    CRASHING = "crashing"  # the agent does not start


@dataclass
class Accepted:
    tenant: Tenant
    kind: Kind
    version: str
    end: dict[str, Any] = field(default_factory=dict)


@dataclass
class Load:
    bench: Ground
    folder: Path
    random: Random
    tenants: list[Tenant] = field(default_factory=list)
    accepted: dict[str, Accepted] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    gets: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_get_seconds: float = 0.0
    next_tenant: Tenant | None = None
    poor: list[Tenant] = field(default_factory=list)  # who may be told 402, or be rejected after a 202
    good_may_fail: bool = False  # where what a step needs is away for longer than the step is tried
    _number: int = 0
    _packages: dict[tuple[Kind, str], Path] = field(default_factory=dict)

    async def open(self, tenants: int) -> None:
        for _ in range(tenants):
            tenant = await self.bench.pac.tenant()
            await self.bench.pac.credits_opened(tenant.key)
            self.tenants.append(tenant)

    async def open_unheard(self) -> None:
        """One more tenant, to whom the next deployments go; billing may not know of the account yet."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    self.next_tenant = await self.bench.pac.tenant()
                except (ClientError, OSError, AssertionError):
                    await asyncio.sleep(PAUSE_SECONDS)
                else:
                    return

    # ---- deploying -----------------------------------------------------------------------------------------------

    async def deploy(self, count: int, *, at_once: int = 6) -> None:
        """So many deployments, each accepted once. Their ends are waited for by `all_ended`."""
        hands = asyncio.Semaphore(at_once)

        async def one(tenant: Tenant, version: str, kind: Kind) -> None:
            async with hands:
                await self._accepted(tenant, version, kind)

        await asyncio.gather(*(one(*self._next()) for _ in range(count)))

    async def deploy_in_turn(self, count: int, *, seconds: float = 300) -> None:
        """The tenants side by side, the deployments of each one after the other: nothing overtakes anything."""
        turns: dict[str, list[tuple[Tenant, str, Kind]]] = {}
        for _ in range(count):
            tenant, version, kind = self._next()
            turns.setdefault(tenant.app_id, []).append((tenant, version, kind))

        async def of_one(mine: list[tuple[Tenant, str, Kind]]) -> None:
            for tenant, version, kind in mine:
                before = set(self.accepted)
                await self._accepted(tenant, version, kind)
                fresh = [one for one in set(self.accepted) - before if self.accepted[one].tenant == tenant]
                for one in fresh:
                    await self._ended(one, seconds=seconds)

        await asyncio.gather(*(of_one(mine) for mine in turns.values()))

    async def keep_deploying(self, until: "asyncio.Task[None]", *, at_least: int, at_most: int, pace: float) -> None:
        """One every `pace` seconds, until that task has ended."""
        running: list[asyncio.Task[None]] = []
        while len(running) < at_most and not (until.done() and len(running) >= at_least):
            running.append(asyncio.create_task(self._accepted(*self._next())))
            await asyncio.sleep(pace)
        await asyncio.gather(*running)

    def _next(self) -> tuple[Tenant, str, Kind]:
        number, self._number = self._number, self._number + 1
        kind = self.random.choices(list(Kind), weights=(7, 2, 1))[0]
        if self.next_tenant is not None:
            tenant, self.next_tenant = self.next_tenant, None
            return tenant, "1.0.0", Kind.GOOD
        return self.tenants[number % len(self.tenants)], f"1.{number // len(self.tenants)}.0", kind

    async def _accepted(self, tenant: Tenant, version: str, kind: Kind) -> None:
        package = self._package(kind, version)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await self._tried(tenant, package, version, kind):
                    pass
        except TimeoutError:
            self.fault(f"a deployment of {version} was not accepted in {PATIENCE_SECONDS:g} s")

    async def _tried(self, tenant: Tenant, package: Path, version: str, kind: Kind) -> bool:
        """Once; False if it has to be tried again."""
        try:
            answer = await self.bench.pac.deploy(tenant, package, version)
        except (ClientError, OSError) as lost:
            self.answers[type(lost).__name__] += 1
            if isinstance(lost, TimeoutError):
                self.fault(f"POST deploy hung for {ANSWER_SECONDS:g} s")
            await asyncio.sleep(PAUSE_SECONDS)
            return False
        self.answers[str(answer.status)] += 1
        if answer.status == 202:
            self.accepted[answer.body["deployment"]["id"]] = Accepted(tenant, kind, version)
        elif answer.status == 400 and (existing := _existing(answer)):
            self.accepted[existing] = Accepted(
                tenant, kind, version
            )  # a former try, whose answer got lost, was accepted
        elif answer.status == 402 and tenant in self.poor:
            return True
        elif answer.status == 503 and "Retry-After" in answer.headers:
            await asyncio.sleep(min(float(answer.headers["Retry-After"]), 2.0))
            return False
        else:
            self.fault(f"POST deploy: {answer.status} {answer.reason} {answer.body}")
        return True

    def _package(self, kind: Kind, version: str) -> Path:
        if (kind, version) not in self._packages:
            folder = self.folder / kind.value
            match kind:
                case Kind.GOOD:
                    package = packed_agent(folder, version=version)
                case Kind.DAMAGED:
                    package = damaged(packed_agent(folder, version=version, padding_bytes=50_000))
                case Kind.CRASHING:
                    package = packed_agent(folder, version=version, main=CRASHES)
            self._packages[kind, version] = package
        return self._packages[kind, version]

    # ---- looking -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """GETs of deployments meanwhile, one after the other."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])
        if not looking.cancelled():
            looking.result()

    async def laws(self, *, seconds: float) -> list[str]:
        """What breaks a law, once everything is at rest."""
        try:
            await laws_hold(self.bench.pac.status, patience_seconds=seconds)
        except LawsBroken as broken:
            return str(broken).splitlines()
        return []

    async def _look(self) -> None:
        while True:
            if self.accepted:
                await self.look_at(self.random.choice(list(self.accepted)))
            await asyncio.sleep(0.1)

    async def all_ended(self, *, seconds: float) -> None:
        """Every 202 comes to an end."""
        deadline = asyncio.get_running_loop().time() + seconds
        while waiting := [one for one, about in self.accepted.items() if not about.end]:
            for one in waiting:
                await self.look_at(one)
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.2)
        for one, about in self.accepted.items():
            if not about.end:
                self.fault(f"deployment {one} ({about.kind}) does not end")
            elif not self._is_right(about):
                self.fault(f"deployment {one} ({about.kind}) ended so: {about.end}")

    async def _ended(self, one: str, *, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):  # `all_ended` says so
            async with asyncio.timeout(seconds):
                while not self.accepted[one].end:
                    await self.look_at(one)
                    await asyncio.sleep(0.2)

    def _is_right(self, about: Accepted) -> bool:
        if about.kind is not Kind.GOOD:
            return bool(about.end["status"] == "failed")
        if about.end.get("outcome") == "rejected":
            return about.tenant in self.poor
        overtaken = about.end.get("error_code") == "overtaken"
        return overtaken or self.good_may_fail or bool(about.end["status"] == "completed")

    async def moving(self, *, seconds: float) -> float:
        """How long it takes until a GET of a deployment and a deploy have been answered well; a fault if too long."""
        began, accepted = asyncio.get_running_loop().time(), len(self.accepted)

        async def is_moving() -> bool:
            await asyncio.sleep(PAUSE_SECONDS / 3)
            if len(self.accepted) == accepted:
                return False
            before = self.gets["200"]
            await self.look_at(self.random.choice(list(self.accepted)))
            return self.gets["200"] > before

        try:
            await eventually(is_moving, seconds=seconds)
        except TimeoutError:
            self.fault(f"nothing moved for {seconds:g} s after a fault was over")
        return asyncio.get_running_loop().time() - began

    async def look_at(self, deployment: str) -> None:
        about, loop = self.accepted[deployment], asyncio.get_running_loop()
        asked = loop.time()
        try:
            answer = await self.bench.pac.call("GET", f"/api/deployments/{deployment}", about.tenant.key)
        except (ClientError, OSError) as lost:
            self.gets[type(lost).__name__] += 1
            if isinstance(lost, TimeoutError):
                self.fault(f"GET of deployment {deployment} hung for {ANSWER_SECONDS:g} s")
            elif "gateway" not in self.bench.killed:
                self.fault(f"GET of deployment {deployment}: {lost!r}, and nobody touched the gateway")
            return
        took = loop.time() - asked
        self.slowest_get_seconds = max(self.slowest_get_seconds, took)
        if took > SLOW_SECONDS:
            self.bench.note(f"a GET of {deployment} took {took:.1f} s: {answer.status}")
        self.gets[str(answer.status)] += 1
        if answer.status == 200:
            shown = answer.body["deployment"]
            if shown["status"] in ("completed", "failed"):
                about.end = shown
        elif answer.status != 503 or "Retry-After" not in answer.headers:
            self.fault(f"GET of deployment {deployment}: {answer.status} {answer.reason} {answer.body}")

    def fault(self, line: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(line[:600])


def damaged(package: Path) -> Path:
    """One byte of its padding is turned: only inflating every byte finds it."""
    content = bytearray(package.read_bytes())
    content[content.index(b"core/padding.bin") + 1000] ^= 0xFF
    package.write_bytes(content)
    return package


def _existing(answer: Answer) -> str | None:
    existing = answer.body.get("existing", {}) if isinstance(answer.body, dict) else {}
    return existing.get("deployment_id")
