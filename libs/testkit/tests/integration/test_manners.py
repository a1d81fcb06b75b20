"""Every manner of a runtime, to its end: what runs, what the deployment says, and what became of the credits.

The hub, billing and runtime-notifier are real, each on its own log; the runtime is scripted, packages says what is due.
The hub's clock is turned by hand, so a deadline takes no time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pac.contracts.deployments import DeploymentAborted
from pac.contracts.gateway import AgentAppCreated
from pac.deployments.domain import Policy
from pac.testkit.eventually import eventually
from pac.testkit.fake_runtime import Manners, Script
from pac.testkit.notifier import QUICK, SIGNATURE, Notifier, notifier_on
from pac.testkit.postgres import DatabaseOf, EventLogOf
from pac.testkit.whole import BILLING, DEPLOYMENTS, GATEWAY, NOTIFIER, PACKAGES

from .between import Between, between

POLICY = Policy(attempts=2)
UNHURRIED = replace(QUICK, longest_seconds=1.0, away_seconds=0.5)  # what answers 10 MB is not asked ten times a second
QUOTES_THE_ADDRESS = "Client error '404 Not Found' for url '{url}'\nFor more see {url}"
COMPLETES = {
    "500 then fine": Script(errors=(500, 503)),
    "slow": Script(looks=6),
    "takes it and closes": Script(manners=Manners.TAKES_THEN_CLOSES),
}
FAILS = {
    "accepted then failed": (Script(ends="failed", message=QUOTES_THE_ADDRESS), "Client error '404 Not Found' for url"),
    "refuses": (Script(errors=(422, 422)), "The runtime refuses the deployment (422): scripted for http://"),
    "redirects": (Script(manners=Manners.REDIRECTS), "The runtime answered with a redirect, which is never followed"),
}
LATE = "Runtime did not become healthy within 300 s (attempt 2 of 2)"
IS_LATE = {
    "never healthy": Script(ends="never"),
    "healthy in one word only": Script(ends="half"),
    "hangs": Script(manners=Manners.HANGS),
    "closes": Script(manners=Manners.CLOSES),
    "lies about ids": Script(manners=Manners.LIES_ABOUT_IDS),
    "answers 10 MB": Script(manners=Manners.HUGE_ANSWER),
    "hangs when asked": Script(of_health=Manners.HANGS),
    "answers 10 MB when asked": Script(of_health=Manners.HUGE_ANSWER),
}
ANSWERS = {"never healthy", "healthy in one word only"}
IS_AWAY = IS_LATE.keys() - ANSWERS


@dataclass
class Stage:
    """Deployments of accounts and apps of their own, all to one runtime."""

    world: Between
    notifier: Notifier
    cast: dict[str, Between] = field(default_factory=dict)

    async def submit(self, name: str, script: Script) -> Between:
        one = self.cast[name] = Between(self.world.logs, policy=POLICY)
        self.notifier.fake.script[str(one.deployment)] = script
        await self.notifier.hear_app(AgentAppCreated(account_id=one.account, at=one.now, agent_app_id=one.app))
        await one.submit()
        return one

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async def moved() -> bool:
            await self.world.flow()
            return await condition()

        try:
            await eventually(moved, seconds=60)
        except TimeoutError:
            raise AssertionError({name: await self.told(name) for name in self.cast}) from None

    async def ended(self, *names: str) -> None:
        async def settled() -> bool:
            said = [await self.cast[name].types(DEPLOYMENTS, "deployment") for name in names]
            return all(types and types[-1] in ENDS for types in said)

        await self.until(settled)

    async def given(self, *names: str, attempt: int) -> None:
        async def posted() -> bool:
            wires = set(self.notifier.fake.given())
            return {f"{self.cast[name].deployment}-a{attempt}" for name in names} <= wires

        await self.until(posted)

    async def said(self, kind: str, *names: str) -> None:
        """By the hub of each of them."""

        async def heard() -> bool:
            types = [await self.cast[name].types(DEPLOYMENTS, "deployment") for name in names]
            return all(kind in each for each in types)

        await self.until(heard)

    async def deadline(self, *names: str) -> None:
        """What the hub waits for is due, whatever it is: the answer to an attempt, or the next one's beginning."""
        for name in names:
            one = self.cast[name]
            one.now = max(one.now, datetime.now(UTC)) + POLICY.step_deadline * 2
            await one.clock_strikes()

    async def told(self, name: str) -> tuple[list[str], list[str], str | None]:
        """The end, what billing has said of it, and the deployment's error."""
        one = self.cast[name]
        history = await one.logs[DEPLOYMENTS].history(f"deployment-{one.deployment}")
        errors = [each.event.error for each in history if isinstance(each.event, DeploymentAborted)]
        ends = [each.event.type for each in history if each.event.type in ENDS]
        return ends, await one.types(BILLING, "hold"), errors[0] if errors else None

    async def everything_said(self) -> str:
        rows: list[Any] = []
        for service in (DEPLOYMENTS, BILLING, PACKAGES):
            async with self.world.logs[service].reading() as connection:
                rows += await connection.exec_driver_sql("SELECT t::text FROM log.events t")
        return "\n".join([await self.notifier.everything_written(), *(row[0] for row in rows)])


ENDS = {"DeploymentCompleted", "DeploymentFailed", "DeploymentCancelled"}


@pytest.fixture
async def stage(database_of: DatabaseOf, event_log_of: EventLogOf) -> AsyncIterator[Stage]:
    services = (GATEWAY, PACKAGES, DEPLOYMENTS, BILLING, NOTIFIER)
    world = await between(
        event_log_of, {one: await database_of(f"pac.{one.module}") for one in services}, policy=POLICY
    )
    async with notifier_on(world.logs[NOTIFIER], pace=UNHURRIED, parallel=64) as notifier:
        world.hear[NOTIFIER, DEPLOYMENTS] = notifier.consumers.on_deployments_event
        yield Stage(world, notifier)


async def ready_after_a_cancel_is_undone_and_released_once(stage: Stage) -> None:
    one = await stage.submit("cancelled", Script(held=True))
    await stage.given("cancelled", attempt=1)
    await one.cancel()
    stage.notifier.fake.release(str(one.deployment))
    await stage.ended("cancelled")
    ends, holds, _ = await stage.told("cancelled")
    assert (ends, holds) == (["DeploymentCancelled"], ["CreditsReserved", "CreditsReleased"])
    await stage.notifier.serves(one.app, None)


async def restarted_empty_on_the_way_and_afterwards_is_captured_once(stage: Stage) -> None:
    one = await stage.submit("forgotten", Script(held=True))
    await stage.given("forgotten", attempt=1)
    stage.notifier.fake.restart_empty()
    stage.notifier.fake.release(str(one.deployment))
    await stage.ended("forgotten")
    stage.notifier.fake.restart_empty()
    await stage.notifier.reconciler.round()
    await stage.notifier.serves(one.app, f"{one.deployment}-r1")
    await asyncio.gather(stage.notifier.at_rest(), stage.world.flow())
    assert (await stage.told("forgotten"))[:2] == (["DeploymentCompleted"], ["CreditsReserved", "CreditsCaptured"])


@pytest.mark.timeout(180)
async def test_each_has_its_end_one_line_of_error_and_its_credits_once(stage: Stage) -> None:
    await ready_after_a_cancel_is_undone_and_released_once(stage)
    await restarted_empty_on_the_way_and_afterwards_is_captured_once(stage)
    scripts = COMPLETES | IS_LATE | {name: script for name, (script, _) in FAILS.items()}
    for name, script in scripts.items():
        await stage.submit(name, script)
    await stage.ended(*COMPLETES)
    await stage.given(*IS_LATE, *FAILS, attempt=1)
    await stage.said("StepWaiting", *IS_AWAY)
    await stage.deadline(*IS_LATE)
    await stage.said("StepFailed", *IS_LATE, "accepted then failed")
    await stage.deadline(*IS_LATE, "accepted then failed")  # the next attempt begins
    await stage.given(*IS_LATE, "accepted then failed", attempt=2)
    await stage.deadline(*IS_LATE)
    await stage.ended(*scripts)

    for name in COMPLETES:
        assert (name, *await stage.told(name)) == (
            *(name, ["DeploymentCompleted"]),
            *(["CreditsReserved", "CreditsCaptured"], None),
        )
        assert len(stage.notifier.fake.serving(stage.cast[name].app)) == 1
    for name, expected in {**dict.fromkeys(IS_LATE, LATE), **{name: said for name, (_, said) in FAILS.items()}}.items():
        ends, holds, error = await stage.told(name)
        assert (name, ends, holds) == (name, ["DeploymentFailed"], ["CreditsReserved", "CreditsReleased"])
        assert error is not None
        assert error.startswith(expected), name
        assert "\n" not in error
        assert "?" not in error
    for name in ANSWERS:
        assert "StepWaiting" not in await stage.cast[name].types(DEPLOYMENTS, "deployment")
    said = await stage.everything_said()
    assert SIGNATURE not in said
    assert "X-Amz" not in said
