"""Python's garbage collector, set for a process that lives long and makes many short-lived objects.

Most of what is made here ends by itself, without the collector: it looks for cycles only. As Python sets it, it looks
after every 700 objects, and again and again through all that was imported; that is half of the time of a fold.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 50_000  # objects more than before until it looks again: some megabytes
ROUNDS = 20


def collect_seldom() -> None:
    """Called once, when everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, ROUNDS, ROUNDS)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """The same for a while, in a process that has other work as well."""
    before = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
