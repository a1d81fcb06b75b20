"""Real servers and our own processes on this machine, under one supervisor. Light to import."""

from pac.cli.local.errors import Expected
from pac.cli.local.postgres import Database
from pac.cli.local.process import ProcessSpec, ProcessStatus
from pac.cli.local.stack import LocalStack, cache_folder
from pac.cli.local.supervisor import Pace, StartFailed, Supervisor

__all__ = [
    "Database",
    "Expected",
    "LocalStack",
    "Pace",
    "ProcessSpec",
    "ProcessStatus",
    "StartFailed",
    "Supervisor",
    "cache_folder",
]
