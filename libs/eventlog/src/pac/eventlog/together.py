"""Commands that wait at the same time go together: one transaction, two round trips and one flush for all of them.

A lone command starts at once; those that come while the transactions in flight are busy form the next one. Each keeps
its own inbox row, its own decision and its own end: who is refused or fails is told so, and the rest go on without it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from pac.contracts.base import Event
from pac.eventlog.crashpoints import reach
from pac.eventlog.engine import translated
from pac.eventlog.transaction import Opening, Transaction, append_all, begin
from pac.eventlog.types import Cause, Decider, LogUnavailable, Message, Recorded

AT_ONCE = 2  # transactions: one is prepared while the other is flushed
LARGEST = 64

AnyCause = Cause | Message[Any]
Opened = Callable[[Sequence[AnyCause]], AbstractAsyncContextManager[list[Transaction]]]


@dataclass(eq=False)
class Call:
    """A command, until it is decided and recorded. `then` may not wait for another command of the same log."""

    decider: Decider[Any, Any, Any]
    stream: str
    command: Any
    cause: AnyCause
    then: Callable[..., Awaitable[None]] | None
    locks: Sequence[str]
    answer: "asyncio.Future[Recorded[Any]]" = field(init=False)

    def __post_init__(self) -> None:
        self.answer = asyncio.get_running_loop().create_future()

    def fails(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass
class _Decided:
    call: Call
    tx: Transaction
    before: Recorded[Any]
    events: Sequence[Event]
    after: Any


class _LeftOut(Exception):  # noqa: N818 - ends a transaction that the others begin again
    def __init__(self, call: Call, reason: Exception) -> None:
        super().__init__(call.stream)
        self.call, self.reason = call, reason


class Together:
    """Of one log. `opened` gives a transaction per cause, all on one connection; it commits nothing by itself."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._waiting: deque[Call] = deque()
        self._running: dict[asyncio.Task[None], list[Call]] = {}

    async def execute(self, call: Call) -> Recorded[Any]:
        self._waiting.append(call)
        self._start()
        try:
            return await call.answer
        except asyncio.CancelledError:
            self._given_up(call)
            raise

    def _given_up(self, call: Call) -> None:
        """A transaction that nobody waits for any more ends; what others wait for goes on, with this one in it."""
        for task, calls in self._running.items():
            if call in calls and all(one.answer.done() for one in calls):
                task.cancel()

    async def close(self) -> None:
        """What is in flight is given up: whether it happened is not known."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self) -> None:
        while len(self._running) < AT_ONCE and (calls := self._next()):
            task = asyncio.create_task(self._run(calls), name="log-execute")
            self._running[task] = calls
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]
        self._start()

    def _next(self) -> list[Call]:
        """Of each stream one; who asked for the same stream has to see what becomes of it."""
        chosen: dict[str, Call] = {}
        left: list[Call] = []
        while self._waiting and len(chosen) < LARGEST:
            call = self._waiting.popleft()
            if call.answer.done():  # nobody waits for it any more
                continue
            if call.stream in chosen:
                left.append(call)
            else:
                chosen[call.stream] = call
        self._waiting.extendleft(reversed(left))
        return list(chosen.values())

    async def _run(self, calls: list[Call]) -> None:
        while calls:
            try:
                await self._transact(calls)
            except _LeftOut as out:
                out.call.fails(out.reason)
                calls = [call for call in calls if not call.answer.done()]
                continue
            except BaseException as error:
                if isinstance(error, Exception) and not isinstance(error, OSError) and len(calls) > 1:
                    for call in calls:  # whose fault it was is seen when each goes alone
                        await self._run([call])
                    return
                for call in calls:
                    call.fails(error if isinstance(error, Exception) else LogUnavailable("the log was closed"))
                if not isinstance(error, Exception):
                    raise
            return

    async def _transact(self, calls: Sequence[Call]) -> None:
        async with self._opened([call.cause for call in calls]) as txs:
            openings = [
                Opening(tx, (call.stream,), call.locks, call.stream) for call, tx in zip(calls, txs, strict=True)
            ]
            found = await begin(openings)
            decided: list[_Decided] = []
            for call, tx, rows in zip(calls, txs, found, strict=True):
                if isinstance(rows, Exception):
                    tx.is_left_out = True  # nothing was written for it
                    call.fails(rows)
                else:
                    decided.append(_decided(call, tx, rows))
            plain = bool(decided) and all(one.call.then is None for one in decided)
            if plain:
                reach("execute.before_commit")
            versions = await append_all(
                [(one.tx, one.call.stream, one.events, one.before.version) for one in decided], commit=plain
            )
            if not plain:
                for one in decided:
                    await _then(one)
                reach("execute.before_commit")
                await txs[0].commit()
            reach("execute.after_commit")
        for one, version in zip(decided, versions, strict=True):
            if not one.call.answer.done():
                one.call.answer.set_result(Recorded(one.after, version))


def _decided(call: Call, tx: Transaction, rows: Sequence[tuple[Any, ...]]) -> _Decided:
    try:
        before = tx.folded(call.decider, call.stream, rows)
        events = call.decider.decide(before.state, call.command)
        return _Decided(call, tx, before, events, call.decider.fold(events, before.state))
    except Exception as reason:
        raise _LeftOut(call, reason) from reason


async def _then(one: _Decided) -> None:
    if one.call.then is None:
        return
    try:
        await one.call.then(one.tx, one.before.state, one.events, one.after)
    except Exception as reason:
        better = translated(reason, one.call.stream) or reason
        if isinstance(better, LogUnavailable):
            raise
        raise _LeftOut(one.call, better) from reason
