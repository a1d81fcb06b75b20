"""`pac dev` as a process: what it serves, how it reloads, what it says and what it never says, how it ends."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from pac.agentkit.environment import Layer
from pac.testkit.agents import write_agent
from pac.testkit.dev import Dev, pac_dev
from pac.testkit.eventually import eventually
from pac.testkit.precedence import CASES, EXPECTED, dotenv_text, seen_in, values_of

ANSWERS = "def handler(context):\n    return ['{}', context['action'], context['context']]\n"
TELLS = """\
import os

print("planted:", *(value for name, value in os.environ.items() if name.startswith("T_")), flush=True)

def handler(action, context):
    if action == "fail":
        raise LookupError("no such " + os.environ["T_R___"] + " nor " + os.environ["T___D_"])
    return dict(os.environ)
"""
FORKS = """\
import os, signal, subprocess, sys, time
from pathlib import Path

CHILD = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)

def graceful(number, frame):
    time.sleep(1)
    Path(os.environ["T_GRACE"]).write_text("it had its grace")

signal.signal(signal.SIGTERM, graceful)

def handler():
    return [os.getpid(), os.getppid(), CHILD.pid]
"""


def write_main(folder: Path, text: str) -> None:
    """As editors do: the new file takes the place of the old one."""
    new = folder / "src/main.py~"
    new.write_text(text)
    new.replace(folder / "src/main.py")


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def gone(pids: list[int]) -> None:
    assert pids
    await eventually(lambda: not any(alive(pid) for pid in pids))


async def family_of(dev: Dev) -> list[int]:
    return [dev.process.pid, *(child.pid for child in psutil.Process(dev.process.pid).children(recursive=True))]


def kept_in(cache: Path) -> set[str]:
    (state,) = (cache / "dev").iterdir()
    return {path.name for path in state.iterdir()}


async def test_an_agent_is_changed_broken_mended_and_ended(tmp_path: Path) -> None:
    folder, cache = write_agent(tmp_path / "agent", main=ANSWERS.format("one")), tmp_path / "cache"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    async with pac_dev(folder, cache=cache) as dev:
        url = await dev.address()
        await dev.says(f"curl -sS {url}/invoke -H 'Content-Type: application/json' -d")
        await dev.says("✓ echo-agent 1.0.0 serves (")
        assert await dev.invoke("hello", {"a": 1}) == ["one", "hello", {"a": 1}]
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "nothing is built there"

        write_main(folder, ANSWERS.format("two"))
        await dev.says("changed: src/main.py")
        await dev.says("✓ echo-agent 1.0.0 serves (")
        assert await dev.invoke() == ["two", "hello", None]

        write_main(folder, "import json\n\njson.loads('{')\n")
        await dev.says(f'  |   File "{folder}/src/main.py", line 3, in <module>')
        await dev.says("  | json.decoder.JSONDecodeError: ")
        said = await dev.says("✗ The agent failed to start: json.decoder.JSONDecodeError: ")
        assert said.endswith("(src/main.py, line 3); the one before still serves")
        assert await dev.invoke() == ["two", "hello", None]
        _, health = await dev.ask("GET", "/health")
        assert (health["status"], health["healthy"]) == ("healthy", True)

        (folder / ".env").rename(tmp_path / "taken-away")
        await dev.says("✗ not loaded; the one before still serves")
        await dev.says("  Missing required .env file at project root (env_missing)")
        await dev.says("    Create a `.env` beside agent.yaml")
        (tmp_path / "taken-away").rename(folder / ".env")

        write_main(folder, ANSWERS.format("three"))
        await dev.says("✓ echo-agent 1.0.0 serves (")
        assert await dev.invoke() == ["three", "hello", None]

        family = await family_of(dev)
        assert len(family) >= 3, "itself, the guard and the agent"
        dev.interrupt()
        await dev.says("stopping")
        assert await dev.ended() == 0
        await gone(family)
    assert "Traceback (most recent call last)" in dev.said
    assert "site-packages" not in dev.said
    assert str(cache) not in dev.said, "files of the agent are named where its developer has them"
    assert kept_in(cache) == {"bootstrap.py", "lock", "venvs"}


async def test_the_table_is_what_the_agent_sees_and_no_value_is_shown(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent", main=TELLS, env=dotenv_text())
    request = values_of(Layer.REQUEST)
    first, *rest = request.items()
    (tmp_path / "request.env").write_text("".join(f"{key}={value}\n" for key, value in rest))
    options = ("--explain", "--env", f"{first[0]}={first[1]}", "--env", str(tmp_path / "request.env"))
    environ = {
        "PIXELL_SECRETS_JSON": json.dumps(values_of(Layer.PROVIDER)),
        "PIXELL_API_KEY": "pac_of_the_developer",
        **values_of(Layer.BASE),
    }
    async with pac_dev(folder, *options, "--provider", "static", cache=tmp_path / "cache", **environ) as dev:
        assert (await dev.says("environment: ")).startswith(
            "environment: request 8, provider (static) 8, .env 8, base "
        )
        assert (await dev.says("key")).split() == ["key", "from", "over"]
        await dev.says("serves (")
        seen = await dev.invoke()
        status, failed = await dev.ask("POST", "/invoke", action="fail")
        assert (status, failed["error"]) == (200, "LookupError: no such [T_R___] nor [T___D_]")
        await dev.says("LookupError: no such [T_R___] nor [T___D_]")
        _, logs = await dev.ask("GET", "/logs")
    assert seen_in(seen) == EXPECTED
    table = table_in(dev.lines)
    assert table.keys() == seen.keys() - {"LC_CTYPE"}, "Python itself may add that one"
    assert {key: layers for key, layers in table.items() if key.startswith("T_")} == {
        case.key: [layer.value for layer in case.given_by] for case in CASES if case.given_by
    }
    assert not [name for name in table if name.startswith(("PIXELL_", "PAC_"))]
    values = {value for layer in Layer for value in values_of(layer).values()}
    assert not [value for value in {*values, "pac_of_the_developer"} if value in dev.said + json.dumps(logs)]
    (planted,) = [line["text"] for line in logs["lines"] if "planted:" in line["text"]]
    assert planted.count("[T_") == len(EXPECTED)


def table_in(lines: list[str]) -> dict[str, list[str]]:
    """By key: the layer it comes from, then those that it also is in."""
    (head,) = (number for number, line in enumerate(lines) if line.split() == ["key", "from", "over"])
    end = next(number for number, line in enumerate(lines) if number > head and "serves (" in line)
    rows = (line.replace(",", "").split() for line in lines[head + 1 : end] if not line.startswith("  |"))
    return {key: layers for key, *layers in rows}


async def test_base_alone_is_counted_and_a_change_of_keys_is_shown(tmp_path: Path) -> None:
    folder, more = write_agent(tmp_path / "agent", env="T_A=1\n"), tmp_path / "more.env"
    more.write_text("")
    async with pac_dev(folder, "--env", str(more), cache=tmp_path / "cache") as dev:
        await dev.says("environment: request 0, provider (none) 0, .env 1, base ")
        await dev.says(" from base alone (--explain shows them)")
        await dev.says("serves (")
        more.write_text("T_B=2\n")
        await dev.says(f"changed: {more}")
        await dev.says("environment: request 1, provider (none) 0, .env 1, base ")
        await dev.says("serves (")
        assert (await dev.invoke())["environment"] == {"T_A": "1", "T_B": "2"}
        write_main(folder, ANSWERS.format("again"))
        await dev.says("serves (")
        assert len([line for line in dev.lines if line.startswith("environment: ")]) == 2, "the keys are the same"


async def test_what_changes_nothing_does_not_load_anything(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent", main=ANSWERS.format("one"))
    async with pac_dev(folder, cache=tmp_path / "cache") as dev:
        await dev.says("serves (")
        (pid,) = (child.pid for child in psutil.Process(dev.process.pid).children())
        (folder / "notes.txt").write_text("not part of the package")
        await dev.says("changed: notes.txt (nothing to load)")
        os.utime(folder / "src/main.py")
        await dev.says("changed: src/main.py (nothing to load)")
        assert await dev.invoke() == ["one", "hello", None]
        write_main(folder, ANSWERS.format("two"))
        await dev.says("serves (")
        assert len([line for line in dev.lines if "serves (" in line]) == 2
        await gone([pid])


async def test_what_failed_is_tried_again_when_it_is_saved(tmp_path: Path) -> None:
    main = "import os\nfrom pathlib import Path\n\nTEXT = Path(os.environ['T_NEEDED']).read_text()\n\n"
    folder = write_agent(tmp_path / "agent", main=f"{main}def handler():\n    return TEXT\n")
    async with pac_dev(folder, cache=tmp_path / "cache", T_NEEDED=str(tmp_path / "needed")) as dev:
        await dev.says("✗ The agent failed to start: FileNotFoundError: ")
        (tmp_path / "needed").write_text("it is there")
        os.utime(folder / "src/main.py")
        await dev.says("serves (")
        assert await dev.invoke() == "it is there"


async def test_its_own_state_is_no_change_where_it_lies_in_the_folder(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent", main=ANSWERS.format("one"))
    async with pac_dev(folder, cache=folder / "cache") as dev:
        await dev.says("serves (")
        write_main(folder, ANSWERS.format("two"))
        await dev.says("serves (")
    changes = [line for line in dev.lines if line.startswith("changed: ")]
    assert any("src/main.py" in line for line in changes)
    assert not any("cache/dev/" in line for line in changes)


async def test_faults_of_the_folder_are_all_told_with_hints_until_they_are_mended(tmp_path: Path) -> None:
    folder = write_agent(
        tmp_path / "agent", main=ANSWERS.format("one"), name="Echo Agent", env="OOPS\nKEY=sk-1234abcd5678\n"
    )
    manifest = folder / "agent.yaml"
    manifest.write_text(manifest.read_text().replace("src.main:handler", "src/main"))
    async with pac_dev(folder, cache=tmp_path / "cache") as dev:
        await dev.says("✗ not loaded; waiting for a change")
        await dev.says("(name_invalid)")
        await dev.says("(entrypoint_invalid)")
        await dev.says("    Correct agent.yaml and build the package again.")
        status, answer = await dev.ask("POST", "/invoke", action="hello")
        assert (status, answer["message"]) == (503, "The agent is not loaded: pac dev says why")
        manifest.write_text(manifest.read_text().replace("src/main", "src.main:handler").replace("Echo Agent", "echo"))
        await dev.says("! .env: KEY looks like a secret (rule sk-)")
        await dev.says("! .env: line 1 gives no variable")
        await dev.says("✓ echo 1.0.0 serves (")
        assert await dev.invoke() == ["one", "hello", None]
    assert "1234abcd" not in dev.said


async def test_an_agent_that_dies_is_started_again(tmp_path: Path) -> None:
    main = "import os\n\ndef handler(action, context):\n    return os._exit(7) if action == 'die' else os.getpid()\n"
    folder = write_agent(tmp_path / "agent", main=main)
    environ = {"LOCAL_RUNTIME_RESTART_BACKOFF_SECONDS": "0.1"}
    async with pac_dev(folder, cache=tmp_path / "cache", **environ) as dev:
        await dev.says("serves (")
        pid = await dev.invoke()
        _, died = await dev.ask("POST", "/invoke", action="die")
        assert died["error"] == "The agent ended before it answered"
        assert (await dev.says("✗ The agent ended with code 7")).endswith("4 more tries after that)")
        await dev.says("serves (")
        assert await dev.invoke() != pid


async def test_ctrl_c_gives_the_agent_its_grace_and_leaves_nothing(tmp_path: Path) -> None:
    folder, grace = write_agent(tmp_path / "agent", main=FORKS), tmp_path / "grace"
    async with pac_dev(folder, cache=tmp_path / "cache", T_GRACE=str(grace)) as dev:
        await dev.says("serves (")
        pids = [*await dev.invoke(), *await family_of(dev)]
        dev.interrupt()
        assert await dev.ended() == 0
        await gone(pids)
    assert grace.read_text() == "it had its grace"


async def test_a_second_ctrl_c_gives_no_grace_and_leaves_nothing(tmp_path: Path) -> None:
    folder, grace = write_agent(tmp_path / "agent", main=FORKS), tmp_path / "grace"
    async with pac_dev(folder, cache=tmp_path / "cache", T_GRACE=str(grace)) as dev:
        await dev.says("serves (")
        pids = [*await dev.invoke(), *await family_of(dev)]
        dev.interrupt()
        await dev.says("stopping")
        dev.interrupt()
        assert await dev.ended() == 0
        await gone(pids)
    assert not grace.exists()


async def test_kill_9_leaves_no_agent_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    folder, cache = write_agent(tmp_path / "agent", main=FORKS), tmp_path / "cache"
    async with pac_dev(folder, cache=cache, T_GRACE=str(tmp_path / "grace")) as dev:
        await dev.says("serves (")
        pids = await dev.invoke()
        dev.process.send_signal(signal.SIGKILL)
        assert await dev.ended() == -signal.SIGKILL
        await gone(pids)
    async with pac_dev(folder, cache=cache, T_GRACE=str(tmp_path / "grace")) as again:
        await again.says("serves (")
        async with pac_dev(folder, cache=cache) as third:
            await third.says(f"{folder} is run by another `pac dev`")
            assert await third.ended() == 1
        assert await again.invoke()
    assert kept_in(cache) == {"bootstrap.py", "lock", "venvs"}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Origin": "http://localhost:3000"}, "Pages of other origins may not ask"),
        ({"Sec-Fetch-Site": "cross-site"}, "Pages of other origins may not ask"),
        ({"Host": "rebound.example"}, "Ask by 127.0.0.1 or localhost"),
    ],
)
async def test_pages_of_others_reach_no_agent(headers: dict[str, str], said: str, served: Dev) -> None:
    assert await served.ask("POST", "/invoke", headers, action="hello") == (
        403,
        {"error": "HTTPException", "message": said},
    )


async def test_other_ids_and_bad_bodies_are_answered_as_by_the_runtime(served: Dev) -> None:
    assert (await served.ask("GET", "-1/health"))[0] == 404
    assert (await served.ask("POST", "/invoke", surprise=1))[0] == 422
    assert (await served.ask("GET", "/health"))[1] == {
        "status": "healthy",
        "healthy": True,
        "message": None,
        "details": {},
        "surfaces": {"rest": False, "a2a": False, "ui": False},
        "ports": None,
    }


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("served")
    async with pac_dev(write_agent(folder / "agent"), cache=folder / "cache") as dev:
        await dev.says("serves (")
        yield dev


async def refusal(folder: Path, *options: str, **environ: str) -> str:
    """What it says when it does not even begin: advice, and code 1."""
    async with pac_dev(folder, *options, cache=folder.parent / "cache", **environ) as dev:
        assert await dev.ended() == 1, dev.said
    assert "Traceback" not in dev.said
    assert "hidden" not in dev.said
    return dev.said


async def test_what_cannot_begin_is_told_with_advice_and_without_values(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent")
    (tmp_path / "empty").mkdir()
    said = await refusal(tmp_path / "empty")
    assert f"pac: {tmp_path}/empty is no agent's folder\n  why:  there is no agent.yaml in it\n  next: " in said
    said = await refusal(folder, "--env", "A=1", "--env", "sk-hidden")
    assert "pac: --env number 2 cannot be used\n  why:  it is neither KEY=VALUE nor a file\n" in said
    assert "--env number 1 cannot be used" in await refusal(folder, "--env", "NOT A NAME=hidden")
    said = await refusal(folder, PIXELL_SECRETS_PROVIDER="vault")
    assert "pac: the secrets provider 'vault' cannot be used\n" in said
    assert "PIXELL_AWS_SECRETS is not set" in await refusal(folder, "--provider", "aws")
    (tmp_path / "file").touch()
    said = await refusal(folder, XDG_CACHE_HOME=str(tmp_path / "file"), PAC_CACHE_DIR="")
    assert "cannot be made\n  why:  Not a directory\n  next: PAC_CACHE_DIR=FOLDER pac dev DIR" in said
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        said = await refusal(folder, "--port", str(port))
    assert f"pac: port {port} cannot be used\n  why:  pid {os.getpid()}: " in said


async def test_a_provider_that_fails_starts_no_agent_and_says_why(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent")
    async with pac_dev(folder, cache=tmp_path / "cache", PIXELL_SECRETS_JSON='{"A": "hidden') as dev:
        said = await dev.says("✗ The agent is not started: The secrets provider static gave nothing: ")
        assert said.endswith(
            "PIXELL_SECRETS_JSON is not JSON. Set PIXELL_SECRETS_JSON to a JSON object of names and texts; "
            "waiting for a change"
        )
        assert (await dev.ask("POST", "/invoke", action="hello"))[0] == 503
    assert "hidden" not in dev.said
    async with pac_dev(folder, "--provider", "none", cache=tmp_path / "cache", PIXELL_SECRETS_JSON="{") as without:
        await without.says("serves (")


async def test_env_as_provider_wins_over_dotenv_and_leaves_the_runtimes_own_names(tmp_path: Path) -> None:
    main = "import os\n\ndef handler():\n    return dict(os.environ)\n"
    folder = write_agent(tmp_path / "agent", main=main, env="T_A=dotenv\nT_B=dotenv\n")
    environ = {"T_A": "own", "PIXELL_SECRETS_PROVIDER": "env", "HOME": "/nowhere"}
    async with pac_dev(folder, cache=tmp_path / "cache", **environ) as dev:
        await dev.says("provider (env) ")
        await dev.says("serves (")
        seen = await dev.invoke()
    assert (seen["T_A"], seen["T_B"]) == ("own", "dotenv")
    assert seen["HOME"].startswith(str(tmp_path / "cache"))
    assert "/venvs/made/" in seen["PATH"].partition(":")[0]


async def test_the_manifests_environment_is_part_of_the_request_as_clients_send_it(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent", env="T_A=dotenv\nT_B=dotenv\n")
    manifest = folder / "agent.yaml"
    manifest.write_text(manifest.read_text().replace("environment: {}", "environment: {T_A: manifest, T_B: manifest}"))
    async with pac_dev(folder, "--env", "T_A=given", cache=tmp_path / "cache") as dev:
        await dev.says("serves (")
        assert (await dev.invoke())["environment"] == {"T_A": "given", "T_B": "manifest"}


async def test_a_change_overtakes_a_start_that_hangs(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent", main="import time\n\nprint('hangs', flush=True)\ntime.sleep(600)\n")
    async with pac_dev(folder, cache=tmp_path / "cache") as dev:
        await dev.says("  | hangs")
        await dev.says("… the entrypoint is still being imported")
        (hanging,) = (child.pid for child in psutil.Process(dev.process.pid).children())
        write_main(folder, ANSWERS.format("quick"))
        await dev.says("serves (")
        assert await dev.invoke() == ["quick", "hello", None]
        await gone([hanging])
    assert "✗" not in dev.said


async def test_many_changes_at_once_end_with_the_last(tmp_path: Path) -> None:
    folder = write_agent(tmp_path / "agent", main=ANSWERS.format("first"))
    async with pac_dev(folder, cache=tmp_path / "cache") as dev:
        await dev.says("serves (")
        for number in range(40):
            write_main(folder, ANSWERS.format(number))
            await asyncio.sleep(0)

        async def last() -> bool:
            return bool(await dev.invoke() == ["39", "hello", None])

        await eventually(last, seconds=30)
        assert len([line for line in dev.lines if line.startswith("changed: ")]) < 40
