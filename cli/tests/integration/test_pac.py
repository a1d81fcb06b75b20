"""The `pac` command from start to end, with stand-ins for the services and everything else real."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from pac.cli.local.ports import free_port
from pac.cli.local.records import Records, until

HERE = Path(__file__).parent
SERVICES = ("gateway", "packages", "deployments", "billing", "runtime-notifier")
PROCESSES = ("postgres", "kafka", "s3", *SERVICES, "runtime")
FIELDS = {
    *("gateway_url", "admin_urls", "account_id", "app_id", "api_key", "admin_key", "postgres_url", "kafka_servers"),
    *("s3", "runtime_url", "runtime_secret", "state_dir", "processes"),
}


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Pac:
    folder: Path
    environment: Mapping[str, str]

    async def spawn(self, *arguments: str, **more: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / "run_pac.py"),
            *arguments,
            env={**os.environ, **self.environment, "PAC_STATE_DIR": str(self.folder), **more},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str, **more: str) -> Finished:
        process = await self.spawn(*arguments, **more)
        out, err = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())

    async def status(self) -> dict[str, Any]:
        said = await self("status", "-o", "json")
        assert said.code == 0, said
        status = json.loads(said.out)
        assert isinstance(status, dict)
        return status

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(record.pid) for record in Records(self.folder / "processes.json").read()]


def are_over(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def new_pac(folder: Path) -> Pac:
    return Pac(folder / "state", {"GATEWAY_PORT": str(free_port())})


@pytest.fixture(scope="module")
async def pac(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pac]:
    pac = new_pac(tmp_path_factory.mktemp("pac"))
    started = await pac("up", "--detach", OPENAI_API_KEY="sk-mine", TEAM_A="1", LOCAL_RUNTIME_BASE_ENVIRONMENT="TEAM_*")
    try:
        assert started.code == 0, started
        yield pac
    finally:
        processes = pac.processes()
        stopped = await pac("down", "--wipe")
    assert stopped.code == 0, stopped
    assert len(processes) == len(PROCESSES)
    assert await until(lambda: are_over(processes), 3)


async def test_status_says_all_that_scripts_rely_on(pac: Pac) -> None:
    status = await pac.status()
    assert status.keys() == FIELDS
    assert tuple(one["name"] for one in status["processes"]) == PROCESSES
    assert all(one.keys() == {"name", "pid", "ready", "restarts"} for one in status["processes"])
    assert all(one["ready"] and one["restarts"] == 0 for one in status["processes"])
    assert len({one["pid"] for one in status["processes"]}) == len(PROCESSES)
    assert status["admin_urls"].keys() == set(SERVICES)
    assert status["s3"].keys() == {"endpoint", "bucket", "access_key", "secret_key"}
    assert status["gateway_url"] == f"http://127.0.0.1:{pac.environment['GATEWAY_PORT']}"
    assert status["state_dir"] == str(pac.folder)
    async with await psycopg.AsyncConnection.connect(status["postgres_url"]) as connection:
        rows = await (await connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")).fetchall()
    assert {name for (name,) in rows} == {*(name.replace("-", "_") for name in SERVICES), "postgres"}


async def test_it_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """As in `pac up --detach | head -1`."""
    pac = new_pac(tmp_path)
    process = await pac.spawn("up", "--detach")
    assert process.stdout is not None
    try:
        assert b"starting" in await process.stdout.readline()
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined] # asyncio hides the pipe
        assert await asyncio.wait_for(process.wait(), 60) == 0
        status = await pac.status()
        assert all(one["ready"] for one in status["processes"])
    finally:
        stopped = await pac("down", "--wipe")
    assert "PAC is stopped" in stopped.out


async def test_a_second_up_says_that_it_runs_and_where(pac: Pac) -> None:
    before = await pac.status()
    again = await pac("up")
    assert again.code == 0
    assert f"PAC is running already, with its state in {pac.folder}" in again.out
    assert "pac deploy AGENT.apkg --wait" in again.out
    assert await pac.status() == before


async def test_fresh_does_not_touch_what_runs(pac: Pac) -> None:
    refused = await pac("up", "--fresh")
    assert refused.code == 1
    assert f"pac down --state-dir {pac.folder}" in refused.err
    assert all(one["ready"] for one in (await pac.status())["processes"])


async def test_more_replicas_than_one_machine_should_carry_are_refused(pac: Pac) -> None:
    refused = await pac("up", "--replicas", "5")
    assert refused.code == 2, refused
    assert "replicas" in refused.err, refused


async def test_agents_runtime_inherits_only_what_was_named(pac: Pac) -> None:
    runtime = json.loads((pac.folder / "environment-runtime.json").read_text())
    assert runtime["TEAM_A"] == "1"
    for name in ("OPENAI_API_KEY", "GATEWAY_ADMIN_KEY", "KAFKA_SERVERS", "PAC_STATE_DIR", "AWS_SECRET_ACCESS_KEY"):
        assert name not in runtime
    billing = json.loads((pac.folder / "environment-billing.json").read_text())
    assert billing["OPENAI_API_KEY"] == "sk-mine"  # services get our whole environment
    assert billing["BILLING_DATABASE_URL"].startswith("postgresql://billing:")


async def test_a_killed_service_comes_back_and_is_counted(pac: Pac) -> None:
    before = {one["name"]: one for one in (await pac.status())["processes"]}["billing"]
    os.kill(before["pid"], signal.SIGKILL)
    async with asyncio.timeout(20):
        while True:
            now = {one["name"]: one for one in (await pac.status())["processes"]}["billing"]
            if now["ready"] and now["pid"] != before["pid"]:
                break
    assert now["restarts"] == before["restarts"] + 1


async def test_migrate_and_topics_can_be_repeated(pac: Pac) -> None:
    done = await pac("migrate", "-o", "json")
    assert json.loads(done.out)["migrated"] == list(SERVICES), done
    topics = await pac("topics", "apply", "-o", "json")
    assert topics.code == 0, topics
    assert json.loads(topics.out)["created"] == []
    assert len(json.loads(topics.out)["existing"]) == 2 * len(SERVICES)


async def test_keys_and_credits(pac: Pac) -> None:
    assert (await pac("keys", "create", "ci", "--scope", "read")).out == "pac_key\n"
    listed = json.loads((await pac("keys", "list", "-o", "json")).out)
    assert [key["id"] for key in listed["api_keys"]] == ["k-0", "k-1", "k-2"]  # all pages
    assert "k-1" in (await pac("keys", "list")).out
    assert "available 1005" in (await pac("credits", "grant", "5")).out
    assert json.loads((await pac("credits", "show", "-o", "json")).out)["available"] == 1000


async def test_an_account_is_opened_with_a_key_and_an_app(pac: Pac) -> None:
    made = json.loads((await pac("accounts", "create", "acme", "--credits", "5", "-o", "json")).out)
    assert (sorted(made), made["api_key"]) == (["account_id", "api_key", "app_id"], "pac_key")
    assert "PAC_API_KEY=pac_key" in (await pac("accounts", "create", "acme")).out


async def test_a_wrong_key_gets_advice_and_no_traceback(pac: Pac) -> None:
    refused = await pac("credits", "show", PAC_API_KEY="pac_wrong")
    assert refused.code == 1
    assert "401: Invalid API key or session (request r-1)" in refused.err
    assert "next: " in refused.err
    assert "Traceback" not in refused.err
    assert refused.out == ""


def package(folder: Path, version: str, size_bytes: int = 10) -> Path:
    path = folder / "agent.apkg"
    with zipfile.ZipFile(path, "w") as content:
        manifest = f'version: "1.0"\nname: an-agent\nentrypoint: src.main:run\nmetadata:\n  version: "{version}"\n'
        content.writestr("agent.yaml", manifest)
        content.writestr(".env", "A=1\n")
        content.writestr("src/main.py", os.urandom(size_bytes))
    return path


async def test_deploy_reads_the_version_sends_the_file_and_waits(pac: Pac, tmp_path: Path) -> None:
    file = package(tmp_path, "1.2.3", 3_000_000)
    sent = json.loads((await pac("deploy", str(file), "-o", "json")).out)
    assert sent["deployment"]["id"] == "d-1.2.3"
    assert sent["package"]["size_bytes"] == file.stat().st_size
    waited = await pac("deploy", str(package(tmp_path, "1.2.4")), "--wait")
    assert waited.code == 0, waited
    assert waited.out.splitlines()[-1] == "completed after 3.5 s"
    assert "✓ notify_runtime completed" in waited.out
    overridden = await pac("deploy", str(file), "--version", "9.0.0")
    assert "d-9.0.0" in overridden.out


async def test_watch_tells_the_three_ends_apart(pac: Pac) -> None:
    failed = await pac("watch", "d-fails")
    assert failed.code == 1
    assert "✗ generate_metadata failed" in failed.out
    assert "the agent did not start" in failed.out
    hangs = await pac("watch", "d-hangs", "--timeout", "1")
    assert hangs.code == 124
    assert "has not ended" in hangs.err
    completed = await pac("watch", "d-completes", "-o", "json")
    assert completed.code == 0
    assert json.loads(completed.out)["status"] == "completed"


async def test_a_deployment_without_credits_says_what_is_missing(pac: Pac, tmp_path: Path) -> None:
    refused = await pac("deploy", str(package(tmp_path, "4.0.2")))
    assert refused.code == 1
    assert "402: Insufficient credits; required 10, available 5" in refused.err
    assert "pac credits grant" in refused.err


async def test_what_is_no_package_is_refused_before_it_is_sent(pac: Pac, tmp_path: Path) -> None:
    text = tmp_path / "notes.apkg"
    text.write_text("not a zip")
    assert (await pac("deploy", str(text))).code == 1
    missing = await pac("deploy", str(tmp_path / "none.apkg"))
    assert (missing.code, "there is no such file" in missing.err) == (1, True)


async def test_doctor_knows_that_it_runs(pac: Pac) -> None:
    said = await pac("doctor", "-o", "json")
    assert said.code == 0, said
    findings = {one["name"]: one for one in json.loads(said.out)["findings"]}
    assert findings[f"port {pac.environment['GATEWAY_PORT']}"]["found"] == "in use; PAC is running"
    assert findings["python"]["verdict"] == "ok"


# ---- stacks of their own --------------------------------------------------------------------------------------------


async def test_ctrl_c_ends_all_in_order_within_ten_seconds(tmp_path: Path) -> None:
    pac = new_pac(tmp_path)
    process = await pac.spawn("up")
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"pac down" not in await process.stdout.readline():
            pass
    processes = pac.processes()
    assert len(processes) == len(PROCESSES)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 15)
    assert time.monotonic() - begun < 10
    assert (process.returncode, err) == (0, b""), (out, err)
    assert await until(lambda: are_over(processes), 1)
    assert (await pac("status")).code == 1
    again = await pac("down", "--wipe")
    assert (again.code, f"nothing ran in {pac.folder}" in again.out) == (0, True)


@pytest.mark.timeout(300)  # two starts, on a machine that may be busy
async def test_after_kill_9_of_pac_up_the_next_one_cleans_up_and_keeps_the_account(tmp_path: Path) -> None:
    pac = new_pac(tmp_path)
    assert (await pac("up", "--detach")).code == 0
    before, left = await pac.status(), pac.processes()
    supervisor = json.loads((pac.folder / "supervisor.json").read_text())["pid"]
    bystander = await asyncio.create_subprocess_exec(sys.executable, "-c", "import signal; signal.pause()")
    os.kill(supervisor, signal.SIGKILL)
    assert await until(lambda: not psutil.pid_exists(supervisor), 5)
    assert not are_over(left)
    said = await pac("doctor", "-o", "json")
    assert any("gateway (pid" in one["found"] for one in json.loads(said.out)["findings"])
    again = await pac("up", "--detach")
    try:
        assert again.code == 0, again
        assert again.out.count("left by a former run") == len(PROCESSES)
        assert are_over(left)
        after = await pac.status()
        same = FIELDS - {"processes"}
        assert {name: after[name] for name in same} == {name: before[name] for name in same}
        assert bystander.returncode is None
    finally:
        bystander.kill()
        await bystander.wait()
        processes = pac.processes()
        wiped = await pac("down", "--wipe")
    assert wiped.code == 0, wiped
    assert await until(lambda: are_over(processes), 3)
    kept = {path.name for path in pac.folder.iterdir()} - {path.name for path in pac.folder.glob("environment-*.json")}
    assert kept == {"README", "lock"}


async def test_down_ends_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    pac = new_pac(tmp_path)
    assert (await pac("up", "--detach")).code == 0
    left = pac.processes()
    os.kill(json.loads((pac.folder / "supervisor.json").read_text())["pid"], signal.SIGKILL)
    stopped = await pac("down", "--wipe")
    assert stopped.code == 0, stopped
    assert await until(lambda: are_over(left), 2)


async def test_a_taken_port_is_named_with_its_holder(tmp_path: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        pac = Pac(tmp_path / "state", {"GATEWAY_PORT": str(port)})
        refused = await pac("up", "--detach")
        assert refused.code == 1
        assert f"port {port} is taken" in refused.err
        assert f"pid {os.getpid()}: " in refused.err
        assert f"GATEWAY_PORT={port + 1} pac up" in refused.err
        said = await pac("doctor")
        assert (said.code, f"pid {os.getpid()}" in said.out) == (1, True)
    assert pac.processes() == []


async def test_a_service_that_refuses_its_settings_is_named_and_nothing_stays(tmp_path: Path) -> None:
    pac = new_pac(tmp_path)
    refused = await pac("up", "--detach", STANDIN_REFUSES="billing")
    assert refused.code == 1
    assert "billing did not start" in refused.err
    assert "BILLING_PORT is not a setting" in refused.err
    assert "Traceback" not in refused.err
    assert pac.processes() == []
    assert (await pac("status")).code == 1
    await pac("down", "--wipe")


async def test_a_bad_setting_of_our_own_is_named(tmp_path: Path) -> None:
    pac = new_pac(tmp_path)
    refused = await pac("up", "--detach", GATEWAY_IDENTITY_KEY="hunter2")
    assert refused.code == 1
    assert "GATEWAY_IDENTITY_KEY is not usable" in refused.err
    assert "hunter2" not in refused.err + refused.out
    assert not (pac.folder / "postgres").exists()  # before anything was started
