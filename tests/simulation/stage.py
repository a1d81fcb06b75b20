"""Where the real services play: the names that lead to I/O lead to stand-ins; a mutant replaces more of them.

The services are not edited. Whatever their modules look up by name (the shelf, and for mutants a decider or a rule) is
replaced while the stage is open.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from logging import CRITICAL
from unittest.mock import patch

import structlog

from .packages_tables import LoopClock, MemoryShelf, no_estimate, nothing, submission_row

PACKAGES = "pac.packages."


@dataclass(frozen=True)
class Stage:
    loop: LoopClock = field(default_factory=LoopClock)


@contextmanager
def opened(replaced: Mapping[str, object] | None = None) -> Iterator[Stage]:
    """`replaced`: dotted name → what stands there instead."""
    stage = Stage()
    stand_ins = {
        PACKAGES + "consumers.Shelf": MemoryShelf,
        PACKAGES + "consumers.submission_row": submission_row,
        PACKAGES + "submitting.Shelf": MemoryShelf,
        PACKAGES + "submitting.refer_in": nothing,
        PACKAGES + "submitting.estimated_seconds": no_estimate,
        PACKAGES + "submitting.asyncio": stage.loop,
        PACKAGES + "work.Shelf": MemoryShelf,
        PACKAGES + "work.note_in": nothing,
    }
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    try:
        with ExitStack() as stack:
            for name, stand_in in (stand_ins | dict(replaced or {})).items():
                stack.enter_context(patch(name, stand_in))
            yield stage
    finally:
        structlog.configure(**before)
