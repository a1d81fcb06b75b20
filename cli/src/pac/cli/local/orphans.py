"""What outlives its own parent comes to `pac up` instead of to init, so that it is found and ended. Linux only."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Collection

import psutil

from pac.cli.local.process import end_at_once

PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury(ours: Collection[int]) -> None:
    """Takes note of the end of adopted processes; `ours` are waited for elsewhere."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if child.pid not in ours and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def end_all() -> int:
    """Ends everything that is still below us; returns how many that were."""
    left = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    end_at_once(left)
    psutil.wait_procs(left, timeout=1.0)
    return len(left)
