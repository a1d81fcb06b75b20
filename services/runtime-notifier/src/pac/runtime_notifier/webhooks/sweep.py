"""Forgets what was noticed long ago, with the attempts at telling it."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from pac.runtime_notifier.webhooks.outbox import Outbox
from pac.servicekit.clock import Clock

BATCH = 1000


@dataclass(frozen=True)
class WebhookSweep:
    """A reader; any number of replicas may run it."""

    outbox: Outbox
    keep_days: float
    now: Clock
    seconds: float = 600.0
    name: str = "webhook_sweep"

    async def run(self) -> None:
        while True:
            while await self.outbox.forget_older(self.now() - timedelta(days=self.keep_days), BATCH) == BATCH:
                pass
            await asyncio.sleep(self.seconds)
