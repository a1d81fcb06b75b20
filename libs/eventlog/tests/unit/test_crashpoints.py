"""Crash points: armed by the environment alone, counted, all of them in the one table and all of them somewhere."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pac.eventlog.crashpoints import POINTS, VARIABLE, armed, parsed, reach, told

ROOT = Path(__file__).parents[4]
FOUR_TIMES = """
from pac.eventlog.crashpoints import reach
for number in range(4):
    reach("capture.after_commit")
    reach("relay.before_send")
    print(number, flush=True)
"""


def run(points: str | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({} if points is None else {VARIABLE: points})}
    return subprocess.run(
        [sys.executable, "-c", FOUR_TIMES], env=environment, capture_output=True, text=True, check=False
    )


def test_an_armed_point_kills_at_the_time_that_is_asked_for() -> None:
    done = run("relay.before_send@3")
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["0", "1"]
    assert done.stderr.strip() == told("relay.before_send")


def test_of_several_the_first_one_reached_kills() -> None:
    done = run("relay.before_send@2, capture.after_commit")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (-signal.SIGKILL, "", told("capture.after_commit"))


def test_without_the_variable_nothing_happens() -> None:
    assert not armed()
    reach("relay.before_send")
    done = run(None)
    assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2", "3"])


@pytest.mark.parametrize("text", ["relay.before_sent", "relay.before_send@0", "relay.before_send@x", "@1"])
def test_what_is_not_a_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a crash point"):
        parsed(text)


def test_the_table_and_the_code_name_the_same_points() -> None:
    called: set[str] = set()
    for folder in ("libs/eventlog/src", "libs/servicekit/src", "services"):
        for file in (ROOT / folder).rglob("*.py"):
            for name in re.findall(r'\breach\(f?"([^"]+)"\)', file.read_text()):
                called |= {name.replace("{name}", one) for one in ("capture", "release")}
    assert called == set(POINTS)
    assert len(POINTS) >= 20
