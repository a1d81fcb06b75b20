"""The runtimes by name. One that is not set up runs nothing, and takes nothing."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from pac.runtime_notifier.runtime import (
    Accepted,
    CannotStop,
    Health,
    NoOutput,
    Output,
    Package,
    RefusedByRuntime,
    Runtime,
    StopTaken,
    Unclear,
    Unknown,
)


class Driver(Protocol):
    """What is asked of a runtime; see `Runtime`."""

    @property
    def accepts_environment(self) -> bool: ...

    async def deploy(self, package: Package) -> Accepted | RefusedByRuntime | Unclear: ...

    async def health(self, wire_id: str) -> Health | Unknown | Unclear: ...

    async def stop(self, wire_id: str) -> StopTaken | CannotStop | Unclear: ...

    async def logs(self, wire_id: str, limit_bytes: int) -> Output | NoOutput | Unclear: ...


@dataclass(frozen=True)
class NotSetUp:
    """What an app names, or has run in, and the settings do not. What ran there counts as forgotten."""

    name: str
    accepts_environment: bool = False

    async def deploy(self, package: Package) -> RefusedByRuntime:
        del package
        return RefusedByRuntime(f"There is no runtime {self.name}: choose another one for this app", retriable=False)

    async def health(self, wire_id: str) -> Unknown:
        del wire_id
        return Unknown()

    async def stop(self, wire_id: str) -> CannotStop:
        del wire_id
        return CannotStop()

    async def logs(self, wire_id: str, limit_bytes: int) -> NoOutput:
        del wire_id, limit_bytes
        return NoOutput()


@dataclass(frozen=True)
class Runtimes:
    """An async context manager that opens all of them."""

    by_name: Mapping[str, Runtime]
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False)

    def __getitem__(self, name: str) -> Driver:
        return self.by_name.get(name) or NotSetUp(name)

    @property
    def secrets(self) -> list[str]:
        """By which they know us."""
        return [each.secret.get_secret_value() for each in self.by_name.values() if each.secret is not None]

    async def __aenter__(self) -> Self:
        for runtime in self.by_name.values():
            await self._opened.enter_async_context(runtime)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()
