"""A real Apache Kafka on 127.0.0.1: one node that is broker and KRaft controller at once."""

import base64
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pac.cli.local.errors import Expected
from pac.cli.local.jars import Program, fetch, java
from pac.cli.local.probes import HOST, KafkaProbe
from pac.cli.local.process import ProcessSpec

PROGRAM = Program("kafka")
JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true")
FORMAT_JVM = ("-Xmx128m", *JVM[1:])
LOGGING = tuple(
    f"-Dorg.slf4j.simpleLogger.{name}"
    for name in ("defaultLogLevel=warn", "showDateTime=true", "dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ")
)


@dataclass(frozen=True)
class Kafka:
    """The broker of one state folder. Topics are made by `pac topics apply`, never by a client's first message."""

    folder: Path
    logs: Path
    port: int
    controller_port: int
    cache: Path
    say: Callable[[str], None]

    @property
    def servers(self) -> str:
        return f"{HOST}:{self.port}"

    def spec(self) -> ProcessSpec:
        """The broker's process; downloads and formats at the first call."""
        jars = fetch(PROGRAM, self.cache, self.say)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._settings.write_text(self._properties(), encoding="utf-8")
        if not (self._data / "meta.properties").exists():
            self._format(jars)
        return ProcessSpec(
            name="kafka",
            argv=(java(), *JVM, *LOGGING, "-cp", f"{jars}/*", "kafka.Kafka", str(self._settings)),
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd=self.folder,
            log_file=self.logs / "kafka.log",
            ready=KafkaProbe(self.port),
            stop_timeout_seconds=3.0,  # what a SIGKILL leaves, the broker recovers from its log
        )

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    def _properties(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            # Static voters: unlike a formatted dynamic quorum, the address is read from here at every start, so that
            # the controller may move to another port.
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self._data,
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # After a kill -9 the controller waits this long before the same broker may register again (default 9 s).
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            "log.segment.bytes": 64 * 1024 * 1024,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "num.replica.fetchers": 1,
            "background.threads": 2,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _format(self, jars: Path) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        command = [java(), *FORMAT_JVM, *LOGGING, "-cp", f"{jars}/*"]
        command += ["kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(self._settings)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (argv is ours)
        if done.returncode != 0:
            raise Expected("Kafka's folder could not be formatted", (done.stderr or done.stdout).strip(), "pac doctor")


def new_cluster_id() -> str:
    """Base64 of 16 random bytes. The first character is a letter: the tool takes "-…" for an option."""
    raw = secrets.token_bytes(16)
    return base64.urlsafe_b64encode(bytes([raw[0] & 0x3F]) + raw[1:]).decode().rstrip("=")
