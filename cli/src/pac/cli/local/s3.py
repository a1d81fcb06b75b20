"""A real S3 server on files, on 127.0.0.1: S3Proxy, asking for signed requests as Amazon's does."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pac.cli.local.jars import Program, fetch, java
from pac.cli.local.probes import HOST, HttpProbe
from pac.cli.local.process import ProcessSpec

PROGRAM = Program("s3proxy")
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true")
REGION = "us-east-1"
# The default level is DEBUG, three times slower.
LOGGING = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %c %m%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"""


@dataclass(frozen=True)
class S3Settings:
    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = REGION


@dataclass(frozen=True)
class S3:
    """The object store of one state folder."""

    folder: Path
    logs: Path
    port: int
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    cache: Path
    say: Callable[[str], None]

    @property
    def settings(self) -> S3Settings:
        return S3Settings(f"http://{HOST}:{self.port}", self.bucket, self.access_key, self.secret_key)

    def ensure_bucket(self, name: str) -> None:
        """A bucket is a folder here, so nothing needs to be asked over the network."""
        for folder in (self.folder, self.folder / "buckets", self.folder / "buckets" / name):
            folder.mkdir(exist_ok=True, mode=0o700)

    def spec(self) -> ProcessSpec:
        """The server's process; downloads at the first call."""
        jars = fetch(PROGRAM, self.cache, self.say)
        self.ensure_bucket(self.bucket)
        logging = self.folder / "logback.xml"
        logging.write_text(LOGGING, encoding="utf-8")
        settings = self.folder / "s3proxy.properties"
        settings.touch(0o600)
        settings.write_text(self._properties(), encoding="utf-8")
        main = ("org.gaul.s3proxy.Main", "--properties", str(settings))
        return ProcessSpec(
            name="s3",
            argv=(java(), *JVM, f"-Dlogback.configurationFile={logging}", "-cp", f"{jars}/*", *main),
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd=self.folder,
            log_file=self.logs / "s3.log",
            ready=HttpProbe(self.port, "/", statuses=(403,)),  # unsigned, so refused: it serves
            stop_timeout_seconds=3.0,
        )

    def _properties(self) -> str:
        settings = {
            "s3proxy.endpoint": self.settings.endpoint,
            "s3proxy.authorization": "aws-v4",
            "s3proxy.identity": self.access_key,
            "s3proxy.credential": self.secret_key,
            "jclouds.provider": "filesystem-nio2",
            "jclouds.identity": "local",
            "jclouds.credential": "local",
            "jclouds.filesystem.basedir": self.folder / "buckets",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())
