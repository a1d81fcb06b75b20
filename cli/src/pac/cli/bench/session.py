"""One `pac bench` from its first server to its last: asked to stop, it ends all of them before it goes."""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing

import structlog

from pac.cli.bench.catalogue import Benchmark, run
from pac.cli.bench.loop import cancel_when_asked_to_stop, on_a_fast_loop
from pac.cli.bench.measuring import Options, Result
from pac.cli.local import orphans
from pac.cli.local.stack import Say
from pac.servicekit.memory import collect_seldom


class Interrupted(Exception):  # noqa: N818 - somebody wanted it
    """Asked to stop before the end; nothing is left running."""


def measure(
    benchmarks: Sequence[Benchmark], options: Options, say: Say, tell: Callable[[Result], None]
) -> list[Result]:
    """All results; each is told as soon as it is there. Raises Interrupted."""
    structlog.configure(  # what the libraries say goes where it does not mix with results
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    collect_seldom()  # as services do
    try:
        return on_a_fast_loop(_measured(benchmarks, options, say, tell))
    except asyncio.CancelledError:
        raise Interrupted from None
    except BaseExceptionGroup as several:  # of callers side by side: the first says what was the matter
        raise first_of(several) from several


async def _measured(
    benchmarks: Sequence[Benchmark], options: Options, say: Say, tell: Callable[[Result], None]
) -> list[Result]:
    task, found = asyncio.current_task(), list[Result]()
    assert task is not None
    orphans.adopt()
    cancel_when_asked_to_stop(task)
    try:
        async with aclosing(run(benchmarks, options, say)) as results:
            async for result in results:
                found.append(result)
                tell(result)
    finally:
        orphans.end_all()
    return found


def first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
