"""What of a batch had no effect here: most of what others say. The inbox moves over it with the next effect of the same
stream, or at the batch's end, over all streams at once: not in a transaction and a flush for each message.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pac.contracts.envelope import Envelope
from pac.eventlog import EventLog, Raw, Span

Stream = tuple[str, str]


@dataclass
class Passed:
    """A span, and its messages, by which it can be looked at again one by one."""

    span: Span
    records: list[Raw]


@dataclass
class Passing:
    """Of one consumer. What is noted here is nowhere else yet: its messages may not be acknowledged."""

    consumer: str
    log: EventLog
    _of: dict[Stream, Passed] = field(default_factory=dict)

    def before(self, envelope: Envelope[Any]) -> int:
        """How many events lie here that end right before this one."""
        passed = self._of.get(stream_of(envelope))
        if passed is None or passed.span.last != envelope.version - 1:
            return 0
        return passed.span.last - passed.span.first + 1

    def note(self, raw: Raw, envelope: Envelope[Any]) -> bool:
        """False if it is not the next after what lies here of its stream: then the inbox has to be asked."""
        passed = self._of.get(stream_of(envelope))
        if passed is None:
            span = Span(envelope.source, envelope.stream, envelope.version, envelope.version)
            self._of[stream_of(envelope)] = Passed(span, [raw])
        elif passed.span.last == envelope.version - 1:
            passed.span = replace(passed.span, last=envelope.version)
            passed.records.append(raw)
        else:
            return False
        return True

    def forget(self, envelope: Envelope[Any]) -> None:
        """The inbox has moved to this event at least, and over what lay before it; what lies behind it stays."""
        passed = self._of.get(stream_of(envelope))
        if passed is not None and passed.span.last <= envelope.version:
            del self._of[stream_of(envelope)]

    def of_subject(self, subject: str) -> list[Passed]:
        return [passed for passed in self._of.values() if passed.records[0].subject == subject]

    def all(self) -> list[Passed]:
        return list(self._of.values())

    async def move_over(self, some: Sequence[Passed]) -> list[Passed]:
        """Gives those that the inbox did not move over; none of `some` lies here any more. LogUnavailable: all do."""
        left = await self.log.move_over(self.consumer, [passed.span for passed in some]) if some else []
        for passed in some:
            self._of.pop((passed.span.source, passed.span.stream), None)
        return [passed for passed in some if passed.span in left]

    def clear(self) -> None:
        self._of.clear()

    def put_back(self, passed: Passed) -> None:
        self._of[passed.span.source, passed.span.stream] = passed


def stream_of(envelope: Envelope[Any]) -> Stream:
    return envelope.source, envelope.stream
