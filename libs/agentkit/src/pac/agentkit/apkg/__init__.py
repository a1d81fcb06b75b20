"""Reads and checks a package file on disk. Synchronous, no network: callers run it in a worker process."""

from pac.agentkit.apkg.inspection import check_version, inspect
from pac.agentkit.apkg.model import (
    Dependency,
    Entry,
    Inspection,
    Limits,
    Manifest,
    PackagedFile,
    Problem,
    Verification,
)
from pac.agentkit.apkg.verification import verify

__all__ = [
    "Dependency",
    "Entry",
    "Inspection",
    "Limits",
    "Manifest",
    "PackagedFile",
    "Problem",
    "Verification",
    "check_version",
    "inspect",
    "verify",
]
