"""The supervisor with small processes: order, restarts, failures, and that nothing stays."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from pac.cli.local.process import ProcessSpec
from pac.cli.local.records import Records, until
from pac.cli.local.supervisor import Pace, StartFailed, Supervisor

QUICK = Pace(until_ready=0.01, while_ready=0.02, first_backoff=0.01, longest_backoff=0.02)
READY = "import pathlib, signal, sys, time; pathlib.Path(sys.argv[1]).touch(); "
PAUSE = READY + "signal.pause()"


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(Records(tmp_path / "processes.json"), pace=QUICK)
    yield supervisor
    await supervisor.kill_all()
    assert Records(tmp_path / "processes.json").read() == []


def spec(
    folder: Path,
    name: str,
    code: str = PAUSE,
    *,
    after: tuple[str, ...] = (),
    ready_timeout_seconds: float = 20,
    stop_timeout_seconds: float = 5,
) -> ProcessSpec:
    """Ready when the process of this life has touched its file."""
    sign = folder / f"{name}.ready"

    async def ready() -> bool:
        return sign.exists()

    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-c", code, str(sign)),
        env={"PATH": os.defpath},
        cwd=folder,
        log_file=folder / f"{name}.log",
        ready=ready,
        after=after,
        ready_timeout_seconds=ready_timeout_seconds,
        stop_timeout_seconds=stop_timeout_seconds,
    )


def pid_of(supervisor: Supervisor, name: str) -> int | None:
    return next((one.pid for one in supervisor.status() if one.name == name), None)


async def test_each_starts_only_after_those_it_needs(supervisor: Supervisor, tmp_path: Path) -> None:
    late = "import pathlib, signal, sys; assert pathlib.Path('first.ready').exists(); " + PAUSE
    slow = "import time; time.sleep(0.2); " + PAUSE
    await supervisor.start(spec(tmp_path, "second", late, after=("first",)), spec(tmp_path, "first", slow))
    assert {one.name: one.ready for one in supervisor.status()} == {"first": True, "second": True}


async def test_one_life_may_have_an_environment_of_its_own(supervisor: Supervisor, tmp_path: Path) -> None:
    said = tmp_path / "said"
    code = "import os, pathlib; open('said', 'a').write(os.environ.get('ONCE', 'plain') + ' '); " + PAUSE
    await supervisor.start(spec(tmp_path, "one", code))
    supervisor.kill("one", next_life={"ONCE": "armed"})
    assert await until(lambda: said.read_text().split() == ["plain", "armed"], 5)
    supervisor.kill("one")
    assert await until(lambda: said.read_text().split() == ["plain", "armed", "plain"], 5)


async def test_what_dies_is_started_again_and_counted(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(spec(tmp_path, "one"))
    for times in (1, 2):
        pid = pid_of(supervisor, "one")
        supervisor.kill("one")
        assert await until(lambda pid=pid: pid_of(supervisor, "one") not in (None, pid), 5)  # type: ignore[misc]
        await supervisor.wait_ready("one", timeout_seconds=5)
        assert [one.restarts for one in supervisor.status()] == [times]


async def test_a_process_that_ends_at_its_first_start_fails_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    failing = spec(tmp_path, "one", "import sys; print('BILLING_PORT is not a port'); sys.exit(2)")
    with pytest.raises(StartFailed, match=r"exit code 2(?s:.)*BILLING_PORT is not a port") as failed:
        await supervisor.start(failing)
    assert failed.value.name == "one"
    assert supervisor.status() == []


async def test_only_words_of_this_start_are_shown(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("words of last week\n")
    with pytest.raises(StartFailed) as failed:
        await supervisor.start(spec(tmp_path, "one", "import sys; print('news'); sys.exit(1)"))
    assert "news" in str(failed.value)
    assert "last week" not in str(failed.value)


async def test_a_process_that_never_turns_ready_is_ended(supervisor: Supervisor, tmp_path: Path) -> None:
    mute = spec(tmp_path, "one", "import signal; signal.pause()", ready_timeout_seconds=0.2)
    with pytest.raises(StartFailed, match=r"not ready after 0\.2 s"):
        await supervisor.start(mute)
    assert supervisor.status() == []


@pytest.mark.parametrize("hears", [True, False])
async def test_what_lives_on_and_is_not_ready_any_more_gets_another_life(
    supervisor: Supervisor, tmp_path: Path, *, hears: bool
) -> None:
    """As a Postgres that was told to end once its clients have left, and lets no new ones in."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    one = spec(tmp_path, "one", PAUSE if hears else deaf + PAUSE, ready_timeout_seconds=2, stop_timeout_seconds=0.1)
    await supervisor.start(one)
    pid = pid_of(supervisor, "one")
    (tmp_path / "one.ready").unlink()
    assert await until(lambda: pid_of(supervisor, "one") not in (None, pid), 10)
    await supervisor.wait_ready("one", timeout_seconds=10)
    assert [one.restarts for one in supervisor.status()] == [1]


async def test_what_waits_for_another_is_let_wait(supervisor: Supervisor, tmp_path: Path) -> None:
    """Nor is a life ended that has not been ready yet: what it does first may take its time."""
    needed = spec(tmp_path, "needed")
    one = spec(tmp_path, "one", after=("needed",), ready_timeout_seconds=2)
    await supervisor.start(needed, one)
    pid = pid_of(supervisor, "one")
    for sign in ("needed.ready", "one.ready"):
        (tmp_path / sign).unlink()
    assert not await until(lambda: pid_of(supervisor, "one") != pid, 2.5)
    (tmp_path / "needed.ready").touch()
    assert await until(lambda: pid_of(supervisor, "one") not in (None, pid), 10)


async def test_a_program_that_does_not_exist_is_an_expected_failure(supervisor: Supervisor, tmp_path: Path) -> None:
    missing = ProcessSpec("one", ("/nonexistent/program",), {}, tmp_path, tmp_path / "one.log")
    with pytest.raises(StartFailed, match="cannot be executed"):
        await supervisor.start(missing)


async def test_all_stop_in_reverse_order(supervisor: Supervisor, tmp_path: Path) -> None:
    speak = (
        "import pathlib, signal, sys\n"
        "def end(*_):\n    open('order', 'a').write(sys.argv[1][-7] + '\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path(sys.argv[1]).touch()\nwhile True: signal.pause()\n"
    )
    names = {"a": (), "b": ("a",), "c": ("a", "b")}
    await supervisor.start(*(spec(tmp_path, name, speak, after=after) for name, after in names.items()))
    await supervisor.stop_all()
    assert (tmp_path / "order").read_text().split() == ["c", "b", "a"]
    assert supervisor.status() == []


async def test_what_ignores_the_end_is_killed_with_all_below_it(supervisor: Supervisor, tmp_path: Path) -> None:
    deaf = (
        "import pathlib, signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True)\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "pathlib.Path(sys.argv[1]).touch()\nwhile True: signal.pause()\n"
    )
    await supervisor.start(spec(tmp_path, "one", deaf, stop_timeout_seconds=0.2))
    leader, child = (psutil.Process(pid) for pid in (pid_of(supervisor, "one"), int((tmp_path / "child").read_text())))
    begun = time.monotonic()
    await supervisor.stop_all()
    assert time.monotonic() - begun < 5
    assert not leader.is_running()
    assert await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)


async def test_the_end_takes_no_longer_than_it_may(supervisor: Supervisor, tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + "\nwhile True: signal.pause()"
    chain = [spec(tmp_path, str(n), deaf, after=(str(n - 1),) if n else ()) for n in range(4)]
    await supervisor.start(*chain)
    begun = time.monotonic()
    await supervisor.stop_all(timeout_seconds=0.5)
    assert time.monotonic() - begun < 3
    assert supervisor.status() == []


async def test_a_paused_process_is_not_ready_and_comes_back(supervisor: Supervisor, tmp_path: Path) -> None:
    beat = READY + "\nwhile True: pathlib.Path(sys.argv[1]).touch(); time.sleep(0.01)"
    one = spec(tmp_path, "one", beat)
    sign = tmp_path / "one.ready"

    async def beats() -> bool:
        return sign.exists() and time.time() - sign.stat().st_mtime < 0.5

    await supervisor.start(ProcessSpec(one.name, one.argv, one.env, one.cwd, one.log_file, beats))
    pid = pid_of(supervisor, "one")
    supervisor.pause("one")
    assert await until(lambda: not supervisor.status()[0].ready, 5)
    supervisor.resume("one")
    assert await until(lambda: supervisor.status()[0].ready, 5)
    assert (pid_of(supervisor, "one"), supervisor.status()[0].restarts) == (pid, 0)


async def test_a_paused_process_can_be_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(spec(tmp_path, "one"))
    supervisor.pause("one")
    begun = time.monotonic()
    await supervisor.stop("one")
    assert time.monotonic() - begun < 3


async def test_restart_gives_a_new_process(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(spec(tmp_path, "one"))
    pid = pid_of(supervisor, "one")
    await supervisor.restart("one")
    assert pid_of(supervisor, "one") not in (None, pid)
    assert [(one.ready, one.restarts) for one in supervisor.status()] == [(True, 1)]


async def test_a_stopped_process_stays_away_and_its_name_is_free(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(spec(tmp_path, "one"))
    with pytest.raises(ValueError, match="one is supervised already"):
        await supervisor.start(spec(tmp_path, "one"))
    await supervisor.stop("one")
    with pytest.raises(ProcessLookupError):
        supervisor.kill("one")
    await supervisor.start(spec(tmp_path, "one"))
    assert supervisor.status()[0].ready


async def test_each_process_leads_a_session_of_its_own_and_is_on_file(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start(spec(tmp_path, "one"))
    pid = pid_of(supervisor, "one")
    assert pid is not None
    assert os.getsid(pid) == pid != os.getsid(0)  # so a terminal's Ctrl-C passes it by
    assert [record.pid for record in Records(tmp_path / "processes.json").read() if record.is_alive()] == [pid]


async def test_one_failure_ends_the_wait_for_the_others(supervisor: Supervisor, tmp_path: Path) -> None:
    mute = spec(tmp_path, "mute", "import signal; signal.pause()")
    begun = time.monotonic()
    with pytest.raises(StartFailed, match="bad did not start"):
        await asyncio.wait_for(supervisor.start(mute, spec(tmp_path, "bad", "raise SystemExit(1)")), 10)
    assert time.monotonic() - begun < 5


async def test_a_signal_of_choice_reaches_the_process(supervisor: Supervisor, tmp_path: Path) -> None:
    ear = (
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGUSR1, lambda *_: pathlib.Path('heard').touch())\n"
        "pathlib.Path(sys.argv[1]).touch()\nwhile True: signal.pause()\n"
    )
    await supervisor.start(spec(tmp_path, "one", ear))
    supervisor.kill("one", signal.SIGUSR1)
    assert await until((tmp_path / "heard").exists, 5)
    assert supervisor.status()[0].restarts == 0


async def test_one_that_says_it_is_not_ready_any_more_and_ends_is_started_again(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    """What a service does at SIGTERM; only its very first start may fail for good."""
    code = READY + (
        "signal.signal(signal.SIGTERM, lambda *_: pathlib.Path(sys.argv[1]).unlink())\n"
        "while pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "time.sleep(0.3)"
    )
    await supervisor.start(spec(tmp_path, "polite", code))
    before = pid_of(supervisor, "polite")
    supervisor.kill("polite", signal.SIGTERM)
    assert await until(lambda: pid_of(supervisor, "polite") not in (None, before), 5.0)
    await supervisor.wait_ready("polite", timeout_seconds=5)
