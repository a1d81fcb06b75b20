"""Writes Grafana's dashboards: `python -m pac.testkit.dashboards [--check] deploy/grafana`.

Gauges read from a database are the same in every replica, so `max` is taken of them; what a process counted is summed.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pac.billing.invariants import LAWS_OF_MONEY

HTTP = "http_server_request_duration_seconds"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, HEIGHT = 3, 8
WIDTH = 24 // COLUMNS


@dataclass(frozen=True)
class Panel:
    """`unit` is Grafana's word for it; a `stat` shows one number, else a line over time."""

    title: str
    expression: str
    legend: str = ""
    unit: str = "short"
    stat: bool = False


def by_route(quantile: float) -> str:
    return f"histogram_quantile({quantile}, sum by (le, route) (rate({HTTP}_bucket[5m])))"


SERVICE = (
    Panel("Requests", f"sum by (route, method) (rate({HTTP}_count[5m]))", "{{method}} {{route}}", "reqps"),
    Panel(
        "Requests that failed (5xx)", f'sum by (route) (rate({HTTP}_count{{status=~"5.."}}[5m]))', "{{route}}", "reqps"
    ),
    Panel("Half are answered within", by_route(0.5), "{{route}}", "s"),
    Panel("99 % are answered within", by_route(0.99), "{{route}}", "s"),
    Panel("Readers started again", "sum by (reader) (increase(reader_restarts_total[15m]))", "{{reader}}"),
    Panel("Event streams open", "sum(deployment_event_streams)"),
)
PIPELINE = (
    *(
        Panel(status.capitalize(), f"max(deployments_{status})", stat=True)
        for status in ("queued", "processing", "completed", "failed")
    ),
    Panel("Stuck past their deadline", "max(queue_deployments_stuck)", stat=True),
    Panel("Ended", "sum by (outcome) (rate(deployments_ended_total[5m]))", "{{outcome}}"),
    Panel(
        "90 % of the steps take less than",
        "histogram_quantile(0.9, sum by (le, step) (rate(deployment_step_seconds_bucket[15m])))",
        "{{step}}",
        "s",
    ),
    Panel("Messages not yet read", "max by (job, topic) (consumer_lag_messages)", "{{job}} {{topic}}"),
    Panel("Events not yet sent, age of the oldest", "max by (job) (relay_backlog_seconds)", "{{job}}", "s"),
    Panel("Readers held back for", "max by (service) (pac_log_watermark_age_seconds)", "{{service}}", "s"),
    Panel("Projections behind", "max by (projection) (pac_projection_lag_seconds)", "{{projection}}", "s"),
    Panel("Messages set aside", "max by (consumer, early) (pac_parked_messages)", "{{consumer}} early={{early}}"),
    Panel("Dead letters", "sum by (job) (increase(consumer_dead_letters_total[1h]))", "{{job}}"),
    Panel("Notices that wait", "max(webhook_messages_waiting)"),
    Panel("Apps that run although nothing should", "max(runtime_orphans)"),
)
MONEY = (
    Panel("Credits moved", "sum by (kind) (rate(credits_moved_total[5m]))", "{{kind}}"),
    Panel("Credits spent, last day", 'sum(increase(credits_moved_total{kind="capture"}[1d]))', stat=True),
    Panel("Credits granted, last day", 'sum(increase(credits_moved_total{kind="grant"}[1d]))', stat=True),
    Panel("Deployments refused for want of credits", "sum(increase(credits_refused_total[1h]))"),
    Panel(
        "Laws of money that are broken",
        f'sum(max by (law) (law_broken{{law=~"{"|".join(law.name for law in LAWS_OF_MONEY)}"}}))',
        stat=True,
    ),
)
DASHBOARDS = {"Service": SERVICE, "Pipeline": PIPELINE, "Money": MONEY}


def panel(number: int, one: Panel) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "title": one.title,
        "type": "stat" if one.stat else "timeseries",
        "datasource": DATASOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": one.unit}, "overrides": []},
        "targets": [{"refId": "A", "datasource": DATASOURCE, "expr": one.expression, "legendFormat": one.legend}],
    }


def dashboard(title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    return {
        "uid": f"pac-{title.lower()}",
        "title": f"PAC {title}",
        "tags": ["pac"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [panel(number, one) for number, one in enumerate(panels)],
    }


def main(arguments: list[str]) -> int:
    folder = Path(arguments[-1])
    for title, panels in DASHBOARDS.items():
        path = folder / f"{title.lower()}.json"
        text = json.dumps(dashboard(title, panels), indent=2) + "\n"
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path} is not what the script writes: run `make generate`\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
