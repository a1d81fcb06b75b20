import json
from pathlib import Path

import pytest

from pac.cli.bench import eventstore
from pac.cli.bench.catalogue import BENCHMARKS, chosen
from pac.cli.bench.goals import GOALS, goal_of
from pac.cli.bench.history import HUB, history
from pac.cli.bench.keeping import Keeper
from pac.cli.bench.measuring import OURS, Options, Result, paired, percentile, result, results_of_times
from pac.cli.local.errors import Expected

APPEND = "psycopg, the same statements"


def one(name: str = "append.8", peer: str = APPEND, *pairs: tuple[float, float]) -> Result:
    return Result(name, "events/s", peer, pairs or ((10.0, 20.0), (30.0, 20.0), (90.0, 30.0)))


def test_values_and_ratio_are_medians_each_of_its_own() -> None:
    assert one().shown() == {
        "name": "append.8",
        "unit": "events/s",
        "value": 30.0,
        "peer": APPEND,
        "peer_value": 20.0,
        "ratio": 1.5,
        "runs": 3,
    }
    assert one("fold", "x", (1.0, 3.0)).shown()["ratio"] == 0.3333


async def test_every_round_asks_everybody_and_begins_with_another() -> None:
    asked: list[str] = []

    async def ask(name: str) -> float:
        asked.append(name)
        return float(len(asked))

    rounds = await paired(3, {OURS: lambda: ask(OURS), "b": lambda: ask("b")})
    assert asked == [OURS, "b", "b", OURS, OURS, "b"]
    assert result("n", "u", "b", rounds).pairs == ((1, 2), (4, 3), (5, 6))


def test_times_become_percentiles_in_milliseconds() -> None:
    seconds = [number / 1000 for number in range(1, 101)]
    assert percentile(seconds, 0.5) == 0.051
    assert percentile([3.0], 0.99) == 3.0
    median, highest = results_of_times("lag", "b", [{OURS: seconds, "b": [0.001]}])
    assert (median.name, median.pairs, highest.name, highest.pairs) == ("lag.p50", ((51, 1),), "lag.p99", ((100, 1),))


def test_goals_are_for_benchmarks_that_exist() -> None:
    assert {name.partition(".")[0] for name, _ in GOALS} <= {benchmark.name for benchmark in BENCHMARKS}


def test_a_goal_says_whether_more_or_less_is_better() -> None:
    missed, met = one("append.32", APPEND, (1.9, 1.0)), one("append.32", APPEND, (2.0, 1.0))
    goal = goal_of(met)
    assert goal is not None
    assert (str(goal), goal.is_met_by(missed), goal.is_met_by(met)) == ("≥ 2", False, True)
    slow, quick = one("completed.p50", "floor of 14 hops", (21, 10)), one("completed.p50", "floor of 14 hops", (20, 10))
    goal = goal_of(slow)
    assert goal is not None
    assert (str(goal), goal.is_met_by(slow), goal.is_met_by(quick)) == ("≤ 2", False, True)
    assert goal_of(one("append.32", "eventsourcing")) is None


def test_results_are_kept_with_their_machine_and_the_newest_are_shown(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "benchmarks")
    path = keeper.keep([one(), one("fold", "COPY and more", (1.0, 10.0))], Options(rounds=3))
    first, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["run"].keys() >= {"date", "commit", "processor", "cores", "memory_gib", "versions", "options"}
    assert first["run"]["options"]["rounds"] == 3
    assert [line["name"] for line in lines] == ["append.8", "fold"]
    assert lines[0]["pairs"] == [[10.0, 20.0], [30.0, 20.0], [90.0, 30.0]]
    path.rename(path.with_name("2000-01-01T000000Z.jsonl"))
    newer = keeper.keep([one("fold", "COPY and more", (5.0, 10.0))], Options())
    page = (keeper.folder / "README.md").read_text()
    assert (
        "| append.8 | events/s | 30 | psycopg, the same statements | 20 | **1.50** [0.50-3.00] | ≥ 0.9 met | 3 |"
        in page
    )
    assert f"| 10 | **0.50** [0.50-0.50] | ≥ 0.3 met | 1 | [{newer.name.partition('T')[0]}]({newer.name}) |" in page
    assert page.count("| fold |") == 1


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Expected, match="append, fold, rebuild, relay, accept, completed, rollback, throughput, upload"):
        chosen(["apend"])
    assert [benchmark.name for benchmark in chosen(["fold", "append"])] == ["append", "fold"]


def test_a_peer_that_is_not_installed_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstore, "find_spec", lambda _: None)
    with pytest.raises(Expected, match=r"pac-cli\[bench\]"):
        chosen([])
    assert chosen(["fold"])


def test_made_up_histories_are_whole_deployments() -> None:
    events = history(3)
    assert HUB.fold(events).status == "completed"
    assert [event.type for event in events][::13] == ["DeploymentQueued", "DeploymentCompleted"]
