"""How a command in the foreground is asked to end: Ctrl-C once, in order; twice, at once."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    first: asyncio.Event = field(default_factory=asyncio.Event)
    second: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def by_signals(cls) -> "Asked":
        """From now on signals are wishes; nothing of the command is interrupted by them."""
        asked = cls()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, asked.stop)
        return asked

    def stop(self) -> None:
        (self.second if self.first.is_set() else self.first).set()

    async def ended(self, ending: Coroutine[Any, Any, None], kill: Callable[[], Awaitable[None]]) -> None:
        """Runs `ending` to its end; `kill` shortens it when we are asked for the second time."""
        hurry = asyncio.create_task(self.second.wait())
        running = asyncio.create_task(ending)
        await asyncio.wait({hurry, running}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await kill()
        await running
        hurry.cancel()
