"""The runtime as a process: packages made by the real pixell command, agents that really run."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pac.agentkit.build import write_package

TELLS = """
import os

def handler(context):
    print("asked to", context["action"], flush=True)
    if context["action"] == "die":
        os._exit(7)
    return {"context": context, "environment": dict(os.environ), "uid": os.getuid(), "pid": os.getpid()}
"""
RAISES = "import os\nraise LookupError('no such thing as ' + os.environ['TOKEN'])\n"
FORKS = """
import os, subprocess, sys

CHILD = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)

async def handler(action, context):
    return {"pids": [os.getpid(), os.getppid(), CHILD.pid]}
"""
WAITS = """
import asyncio
from pathlib import Path

async def handler(action, context):
    print("waits", flush=True)
    while not Path(context).exists():
        await asyncio.sleep(0.01)
    return "answered"
"""
SPINS = "import os\nimport time\n\ndef handler():\n    return os.getpid()\n\nwhile True:\n    pass\n"


def put(packages: Any, make_folder: Any, tmp_path: Path, name: str = "p", **options: Any) -> tuple[str, str]:
    package = write_package(make_folder(**options), tmp_path / f"{name}.apkg")
    url, sha256 = packages.put(f"/{name}.apkg", package.read_bytes())
    return url, sha256


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_a_real_package_is_healthy_and_sees_its_environment_in_order(
    start_runtime: Any, packages: Any, make_folder: Any, pixell_build: Any
) -> None:
    provided = {
        "PIXELL_SECRETS_PROVIDER": "static",
        "PIXELL_SECRETS_JSON": '{"A": "provider", "B": "provider"}',
        "LOCAL_RUNTIME_BASE_ENVIRONMENT": "LAYER_*",
        "LAYER_BASE": "base",
        "LANG": "base",
    }
    runtime = await start_runtime(provided)
    folder = make_folder(main=TELLS, env="A=dotenv\nB=dotenv\nC=dotenv\nLANG=dotenv\n")
    package = packages.put("/p.apkg", pixell_build(folder).read_bytes())
    await runtime.deploy("d-1", package, environment={"A": "request"})
    assert await runtime.settled("d-1") == {
        "status": "healthy",
        "healthy": True,
        "message": None,
        "details": {},
        "surfaces": {"rest": False, "a2a": False, "ui": False},
        "ports": None,
    }
    answer = await runtime.invoke("d-1", "tell", {"text": "one two"})
    assert (answer["success"], answer["error"]) == (True, None)
    assert answer["response"]["context"] == {
        "action": "tell",
        "data": {"text": "one two"},
        "context": {"text": "one two"},
    }
    seen = answer["response"]["environment"]
    assert {key: seen[key] for key in ("A", "B", "C", "LANG", "LAYER_BASE")} == {
        "A": "request",
        "B": "provider",
        "C": "dotenv",
        "LANG": "dotenv",
        "LAYER_BASE": "base",
    }
    expected = {"A", "B", "C", "LANG", "LAYER_BASE", "PATH", "HOME", "TMPDIR"}
    assert set(seen) - {"TZ", "LC_CTYPE"} == expected, "nothing else of the runtime's process reaches an agent"
    _, logs = await runtime.get("/deployments/d-1/logs")
    assert [line["text"] for line in logs["lines"]] == ["asked to tell"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give agents users of their own; other users: next test")
async def test_under_root_each_agent_has_a_user_of_its_own(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    reads = "from pathlib import Path\n\ndef handler(action, context):\n    return Path(context).read_text()\n"
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, "tells", main=TELLS))
    await runtime.deploy("d-2", put(packages, make_folder, tmp_path, "reads", main=reads), agentAppId="app-2")
    assert (await runtime.settled("d-1"))["healthy"], (await runtime.settled("d-1"))["message"]
    assert (await runtime.settled("d-2"))["healthy"]
    told = await runtime.invoke("d-1")
    assert told["response"]["uid"] >= 30_000
    for secret in (f"/proc/{told['response']['pid']}/environ", f"/proc/{runtime.process.pid}/environ"):
        assert "PermissionError" in str((await runtime.invoke("d-2", "read", secret))["error"])
    assert "PermissionError" in str(
        (await runtime.invoke("d-2", "read", f"{runtime.state}/agents/1/app/.env"))["error"]
    )
    assert (await runtime.invoke("d-2", "read", ".env"))["success"]


async def test_agents_may_share_the_runtimes_user_when_told_so(
    start_runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    runtime = await start_runtime({"LOCAL_RUNTIME_AGENT_FIRST_UID": "0"})
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=TELLS))
    assert (await runtime.settled("d-1"))["healthy"]
    assert (await runtime.invoke("d-1"))["response"]["uid"] == os.geteuid()
    assert runtime.state.stat().st_mode & 0o777 == 0o700
    _, ready = await runtime.get("/readyz")
    assert ready == {"status": "ready", "agents_have_own_users": False}


async def test_nothing_secret_of_the_runtime_or_of_the_urls_is_shown(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path, canary: str
) -> None:
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=TELLS))
    await runtime.deploy("d-2", (f"{packages.origin}/none.apkg?signature=do-not-show", "0" * 64))
    await runtime.settled("d-1")
    failed = await runtime.settled("d-2")
    seen = (await runtime.invoke("d-1"))["response"]["environment"]
    assert canary not in str(seen)
    written = runtime.log.read_text()
    assert "do-not-show" not in written + str(failed)
    assert "deployment_failed" in written


async def test_each_way_to_fail_is_told_in_one_line(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    good = put(packages, make_folder, tmp_path, "good")
    packages.redirects["/moved.apkg"] = good[0]
    cases = {
        "sha": ((good[0], "0" * 64), f"SHA256 verification failed. Expected: {'0' * 64} Got: {good[1]}"),
        "missing": (
            (f"{packages.origin}/none.apkg?x=1", "0" * 64),
            f"Failed to fetch package: status 404 for {packages.origin}/none.apkg",
        ),
        "text": (packages.put("/text.apkg", b"hello"), "Failed to load package: Invalid APKG format"),
        "redirect": (
            (f"{packages.origin}/moved.apkg", good[1]),
            f"Failed to fetch package: {packages.origin}/moved.apkg redirects (status 302), which is not followed",
        ),
        "origin": (
            ("http://localhost:1/p.apkg?x=1", good[1]),
            "Packages are not fetched from this origin: http://localhost:1/p.apkg",
        ),
        "requirements": (
            put(packages, make_folder, tmp_path, "requirements", requirements="-r /etc/passwd\n"),
            "requirements.txt: '-r /etc/passwd' is not supported: "  # noqa: ISC004 - one sentence
            "names of packages and index options only, no files and folders",
        ),
    }
    for name, (package, _) in cases.items():
        await runtime.deploy(f"d-{name}", package, agentAppId=f"app-{name}")
    for name, (_, message) in cases.items():
        health = await runtime.settled(f"d-{name}")
        assert health["status"] == "failed"
        assert (health["healthy"], health["message"], health["details"]) == (False, message, {"error": message})
    assert packages.asked.count("/good.apkg") == 1, "the redirect was not followed"


async def test_an_agent_that_raises_at_import_shows_its_last_line_without_the_secret(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    package = put(packages, make_folder, tmp_path, main=RAISES)
    await runtime.deploy("d-1", package, environment={"TOKEN": "very-secret-value"})
    health = await runtime.settled("d-1")
    expected = "The agent failed to start: LookupError: no such thing as [TOKEN] (src/main.py, line 2)"
    assert health["message"] == expected
    _, logs = await runtime.get("/deployments/d-1/logs")
    assert logs["lines"][-1]["text"] == "LookupError: no such thing as [TOKEN]"
    await runtime.deploy("d-1", package)
    assert (await runtime.health("d-1"))["status"] == "failed", "the same id again changes nothing"


async def test_an_agent_that_never_finishes_its_import_fails(
    start_runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    runtime = await start_runtime({"LOCAL_RUNTIME_START_TIMEOUT_SECONDS": "1"})
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=SPINS))
    assert (await runtime.settled("d-1"))["message"] == "The agent did not start within 1 s"


async def test_a_later_deployment_of_the_app_replaces_the_first(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, "one", main=TELLS))
    await runtime.settled("d-1")
    pid = (await runtime.invoke("d-1"))["response"]["pid"]
    await runtime.deploy("d-2", put(packages, make_folder, tmp_path, "two", main=TELLS))
    assert (await runtime.settled("d-2"))["healthy"]
    assert (await runtime.settled("d-1", "stopped"))["message"] == "Replaced by a later deployment"
    assert not alive(pid)
    _, listed = await runtime.get("/deployments")
    assert [(d["id"], d["agentAppId"], d["status"]) for d in listed["deployments"]] == [
        ("d-1", "app-1", "stopped"),
        ("d-2", "app-1", "healthy"),
    ]
    status, answer = await runtime.post("/deployments/d-1/invoke", {"action": "tell", "context": {}})
    assert (status, answer) == (503, {"error": "HTTPException", "message": "Deployment is not healthy"})


async def test_what_was_asked_before_another_takes_over_is_answered(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path, until: Any
) -> None:
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, "one", main=WAITS))
    assert (await runtime.settled("d-1"))["healthy"]
    go = runtime.state.parent / "go"  # where agents with users of their own can look
    asked = asyncio.create_task(runtime.invoke("d-1", "wait", str(go)))

    async def waits() -> bool | None:
        return (await runtime.get("/deployments/d-1/logs"))[1]["lines"] != [] or None

    await until(waits)
    await runtime.deploy("d-2", put(packages, make_folder, tmp_path, "two", main=TELLS))
    await runtime.settled("d-1", "stopping")
    go.touch()
    assert (await asked)["response"] == "answered"
    await runtime.settled("d-1", "stopped")


async def test_stop_ends_the_agent_and_all_it_started(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=FORKS))
    assert (await runtime.settled("d-1"))["healthy"], (await runtime.health("d-1"))["message"]
    pids = (await runtime.invoke("d-1"))["response"]["pids"]
    assert all(alive(pid) for pid in pids)
    status, answer = await runtime.post("/deployments/d-1/stop", {})
    assert (status, answer) == (202, {"status": "stopping", "deploymentId": "d-1"})
    await runtime.settled("d-1", "stopped")
    assert not [pid for pid in pids if alive(pid)]
    status, answer = await runtime.post("/deployments/unknown/stop", {})
    assert (status, answer) == (404, {"error": "HTTPException", "message": "Deployment not found"})


async def test_an_agent_that_dies_is_started_again_and_given_up_in_the_end(
    start_runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    runtime = await start_runtime({"LOCAL_RUNTIME_RESTARTS": "1", "LOCAL_RUNTIME_RESTART_BACKOFF_SECONDS": "1"})
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=TELLS))
    await runtime.settled("d-1")
    died = await runtime.invoke("d-1", "die")
    assert died == {"success": False, "response": None, "error": "The agent ended before it answered"}
    failed = await runtime.settled("d-1", "failed")
    assert failed["message"].startswith("The agent ended with code 7 (starting it again in 1 s")
    assert (await runtime.settled("d-1", "healthy"))["healthy"]
    await runtime.invoke("d-1", "die")
    assert (await runtime.settled("d-1", "failed"))["message"] == "The agent ended with code 7"


async def test_an_agent_that_does_not_answer_is_not_healthy_until_it_does(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path, until: Any
) -> None:
    main = "import time\n\nasync def handler(context):\n    time.sleep(4)\n    return 'awake'\n"
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=main))
    await runtime.settled("d-1")
    sleeping = asyncio.create_task(runtime.invoke("d-1"))

    async def silent() -> Any:
        health = await runtime.health("d-1")
        return None if health["healthy"] else health

    health = await until(silent)
    assert (health["status"], health["message"]) == ("healthy", "The agent does not answer")
    assert (await sleeping)["response"] == "awake"

    async def answers() -> bool | None:
        return (await runtime.health("d-1"))["healthy"] or None

    await until(answers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_end_of_the_runtime_leaves_no_agent(  # noqa: PLR0917 - fixtures
    number: signal.Signals, runtime: Any, packages: Any, make_folder: Any, tmp_path: Path, until: Any
) -> None:
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=FORKS))
    assert (await runtime.settled("d-1"))["healthy"]
    pids = (await runtime.invoke("d-1"))["response"]["pids"]
    began = time.monotonic()
    runtime.process.send_signal(number)
    code = await asyncio.to_thread(runtime.process.wait, 10)
    assert time.monotonic() - began < 5
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)

    async def gone() -> bool | None:
        return None if any(alive(pid) for pid in pids) else True

    await until(gone)


async def test_a_restarted_runtime_is_empty_and_its_folder_has_one_master(
    start_runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    first = await start_runtime()
    package = put(packages, make_folder, tmp_path, main=TELLS)
    await first.deploy("d-1", package)
    await first.settled("d-1")
    with pytest.raises(AssertionError, match="state_folder_in_use"):
        await start_runtime()
    first.process.kill()
    await asyncio.to_thread(first.process.wait, 10)
    second = await start_runtime()
    assert await second.get("/deployments") == (200, {"deployments": []})
    assert (await second.get("/deployments/d-1/health"))[0] == 404
    await second.deploy("d-1", package)
    assert (await second.settled("d-1"))["healthy"]


async def test_a_provider_that_cannot_be_used_starts_no_agent(
    start_runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    runtime = await start_runtime({"PIXELL_SECRETS_PROVIDER": "static", "PIXELL_SECRETS_JSON": '{"A": "hidden'})
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, main=TELLS))
    health = await runtime.settled("d-1")
    assert health["message"] == (
        "The agent is not started: The secrets provider static gave nothing: PIXELL_SECRETS_JSON is not JSON. "
        "Set PIXELL_SECRETS_JSON to a JSON object of names and texts."
    )
    assert "hidden" not in runtime.log.read_text()


async def test_requirements_are_installed_once_and_a_failing_one_is_told(
    runtime: Any, packages: Any, make_folder: Any, tmp_path: Path
) -> None:
    uses = "import iniconfig\n\ndef handler(context):\n    return iniconfig.__file__\n"
    wanted = "iniconfig==2.1.0\n"
    await runtime.deploy("d-1", put(packages, make_folder, tmp_path, "one", main=uses, requirements=wanted))
    await runtime.deploy(
        "d-2", put(packages, make_folder, tmp_path, "two", main=uses, requirements=wanted), agentAppId="app-2"
    )
    unknown = put(packages, make_folder, tmp_path, "three", requirements="iniconfig==0.0.0.1\n")
    await runtime.deploy("d-3", unknown, agentAppId="app-3")
    assert (await runtime.settled("d-1"))["message"] is None
    assert (await runtime.settled("d-2"))["message"] is None
    first, second = (await runtime.invoke("d-1"))["response"], (await runtime.invoke("d-2"))["response"]
    assert first == second
    assert str(runtime.state / "venvs") in first
    failed = await runtime.settled("d-3")
    assert failed["message"].startswith("Installing requirements failed: ")
    assert "iniconfig==0.0.0.1" in failed["message"]
