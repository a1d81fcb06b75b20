"""`python -m pac.agentkit.runtime`: serves until SIGTERM or SIGINT, then stops all agents and ends with 0."""

import asyncio
import ctypes
import logging
import os
import signal
import sys

import structlog
from aiohttp import web
from pydantic import ValidationError

from pac.agentkit.runtime.app import runtime
from pac.agentkit.runtime.places import AlreadyRunning
from pac.agentkit.runtime.settings import Settings

logger = structlog.get_logger(__name__)

PR_SET_DUMPABLE = 4

HEADER_BYTES = 64 * 1024
SHUTDOWN_SECONDS = 0.5
BACKLOG = 128


def main() -> int:
    _hide_memory()
    _configure_logging(os.environ.get("PAC_LOG_FORMAT", "json"), os.environ.get("PAC_LOG_LEVEL", "info"))
    try:
        settings = Settings()
    except ValidationError as fault:
        for error in fault.errors(include_input=False, include_url=False):
            field = "_".join(str(part) for part in error["loc"]).upper()
            name = f"LOCAL_RUNTIME_{field}".rstrip("_")
            logger.error("setting_invalid", setting=name, reason=error["msg"])  # noqa: TRY400 - a trace says nothing more
        return 2
    try:
        asyncio.run(serve(settings))
    except AlreadyRunning as fault:
        logger.error("state_folder_in_use", folder=str(fault))  # noqa: TRY400 - the trace says nothing more
        return 3
    except (OSError, RuntimeError) as fault:
        logger.error("runtime_cannot_start", reason=str(fault))  # noqa: TRY400 - the trace says nothing more
        return 1
    return 0


async def serve(settings: Settings) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    async with runtime(settings, os.environ) as started:
        runner = web.AppRunner(
            started.app,
            access_log=None,  # it would write query strings
            max_field_size=HEADER_BYTES,
            max_line_size=HEADER_BYTES,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG)
            await site.start()
            logger.info("runtime_started", address=site.name, python=started.fleet.isolation.python)
            await ending.wait()
            logger.info("runtime_ending")
        finally:
            await runner.cleanup()
    logger.info("runtime_ended")


def _hide_memory() -> None:
    """Agents that share our user may not read our environment or memory (/proc/<pid>/environ, ptrace)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _configure_logging(form: str, level: str) -> None:
    renderer = structlog.dev.ConsoleRenderer() if form == "console" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level.upper(), 20)),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )


if __name__ == "__main__":
    sys.exit(main())
