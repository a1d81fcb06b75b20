"""Ports on 127.0.0.1: which are free, and which process holds a taken one."""

import random
import socket
from collections.abc import Collection
from dataclasses import dataclass

import psutil

# Below the range that systems give to outgoing connections, so that a restart finds its port free again.
FIRST, LAST = 20_000, 30_000


@dataclass(frozen=True)
class Holder:
    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid}: {self.command}"


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    while True:
        port = random.randrange(FIRST, LAST)  # noqa: S311 (nothing secret; two stacks at once should not meet)
        if port not in taken and is_free(port):
            return port


def holder_of(port: int) -> Holder | None:
    """The process that listens on a port; None when nobody does or the system does not tell us."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        address: tuple[str, int] | tuple[()] = connection.laddr
        if connection.status == psutil.CONN_LISTEN and address and address[1] == port and connection.pid is not None:
            return Holder(connection.pid, command_of(connection.pid))
    return None


def command_of(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return "(a process that does not show its command line)"
