"""Waiting for what becomes true by itself, when nobody tells."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, seconds: float = 15.0) -> T: ...


@overload
async def eventually(condition: Callable[[], bool], *, seconds: float = 15.0) -> bool: ...


async def eventually(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """The first truthy answer; TimeoutError if there is none in time."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            found = await answer if inspect.isawaitable(answer) else answer
            if found:
                return found
            await asyncio.sleep(0.005)
