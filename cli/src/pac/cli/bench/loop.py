"""The event loop of benchmarks and of the floor's processes: the one that services run on; and who asks it to stop."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def on_a_fast_loop(main: Coroutine[Any, Any, T]) -> T:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


async def until_asked_to_stop() -> None:
    asked, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, asked.set)
    await asked.wait()


def cancel_when_asked_to_stop(task: "asyncio.Task[Any]") -> None:
    """The first signal cancels; while servers are being ended, further ones change nothing."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        if not asked.is_set():
            asked.set()
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
