"""Alerts and dashboards ask for what there is: each expression is parsed, each metric, label and page is looked up."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, Expr, Matcher, VectorSelector
from typer.main import get_command

from pac.billing.invariants import LAWS_OF_MONEY
from pac.cli.application import build
from pac.testkit.dashboards import DASHBOARDS
from pac.testkit.metric_reference import figures

from .places import DEPLOY, ROOT
from .wanted import SERVICES

OF_PROMETHEUS = {"job", "instance"}  # labels that each metric has, once it is scraped
Labels = Mapping[str, set[str]]


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((DEPLOY / "alerts/pac.yaml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


ALERTS = {rule["alert"]: str(rule["expr"]) for rule in rules()}
PANELS = {f"{name}: {one.title}": one.expression for name, panels in DASHBOARDS.items() for one in panels}


@pytest.fixture(scope="module")
async def labels() -> Labels:
    """Of each series that can be asked for."""
    known = {"up": OF_PROMETHEUS}
    for one in {one for those in (await figures()).values() for one in those}:
        own = {*one.labels, *OF_PROMETHEUS}
        if one.kind == "histogram":
            known |= {f"{one.name}_bucket": own | {"le"}, f"{one.name}_sum": own, f"{one.name}_count": own}
        else:
            known[one.name] = own
    return known


def parts(expression: Expr) -> list[Expr]:
    found: list[Expr] = []
    promql_parser.walk(expression, found.append)
    return found


def selectors(expression: Expr) -> list[VectorSelector]:
    return [part for part in parts(expression) if isinstance(part, VectorSelector)]


def matchers(text: str, metric: str) -> list[Matcher]:
    return [
        one for part in selectors(promql_parser.parse(text)) if part.name == metric for one in part.matchers.matchers
    ]


def faults(text: str, labels: Labels) -> Iterator[str]:
    """What Prometheus would refuse, or find nothing for."""
    try:
        expression = promql_parser.parse(text)
    except ValueError as fault:
        yield str(fault)
        return
    if not (asked := selectors(expression)):
        yield "it asks for nothing"
    wanted = [(one, matcher.name) for one in asked for matcher in one.matchers.matchers]
    for part in parts(expression):
        if isinstance(part, AggregateExpr) and part.modifier is not None:
            wanted += [(one, name) for one in selectors(part) for name in part.modifier.labels]
    yield from (f"there is no metric {one.name}" for one in asked if one.name not in labels)
    yield from (f"{one.name} has no label {name}" for one, name in wanted if name not in labels.get(str(one.name), ()))


@pytest.mark.parametrize("text", [*ALERTS.values(), *PANELS.values()], ids=[*ALERTS, *PANELS])
def test_each_expression_asks_for_what_there_is(text: str, labels: Labels) -> None:
    assert list(faults(text, labels)) == []


@pytest.mark.parametrize(
    "text",
    [
        "max(deployments_queued",
        "rate(credits_moved_total)",
        "rate(credits_moved_total[5m]) by (kind)",
        "sum(rate(credits_moved[5m]))",
        'sum(rate(credits_moved_total{sort="grant"}[5m]))',
        "sum by (le) (rate(deployment_step_seconds_count[5m]))",
        "deployment_step_seconds",
        "1 > 0",
    ],
)
def test_one_that_does_not_is_seen(text: str, labels: Labels) -> None:
    assert list(faults(text, labels)) != []


def test_a_service_that_is_not_asked_for_its_metrics_is_told_of() -> None:
    [down, *absent] = [one.value for one in matchers(ALERTS["PacServiceDown"], "up")]
    assert (down.split("|"), absent) == ([*SERVICES], [*SERVICES])


def test_every_law_of_money_is_told_of_as_one() -> None:
    money = "|".join(law.name for law in LAWS_OF_MONEY)
    told = {alert: [str(one) for one in matchers(text, "law_broken")] for alert, text in ALERTS.items()}
    assert told["PacMoneyWrong"] == [f'law=~"{money}"']
    assert told["PacLawBroken"] == [f'law!~"{money}"']


def test_every_alert_has_a_page_whose_commands_exist() -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/runbooks").glob("Pac*.md")}
    index = (ROOT / "docs/runbooks/README.md").read_text(encoding="utf-8")
    assert ALERTS.keys() == pages.keys()
    for rule in rules():
        name, page = rule["alert"], pages[rule["alert"]]
        assert rule["annotations"]["runbook"] == f"docs/runbooks/{name}.md"
        assert f"| [{name}]({name}.md) | {rule['annotations']['summary']} |" in index
        commands = re.findall(r"^\$ pac (.+)$", page, re.MULTILINE)
        assert commands, name
        for words in commands:
            parses(shlex.split(words))


def parses(words: list[str]) -> None:
    """Raises UsageError where no `pac` command takes these words."""
    here: Any = get_command(build())
    while hasattr(here, "commands"):
        name, *words = words
        assert name in here.commands, name
        here = here.commands[name]
    here.make_context("pac", words)
