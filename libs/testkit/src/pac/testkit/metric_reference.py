"""docs/reference/metrics.md: every metric of the five services, as they are composed to run.

`python -m pac.testkit.metric_reference [--check] PATH`. Each service is built as its process builds it, and asked what
its registry holds; nothing is connected to, so the addresses and keys it is given lead nowhere.
"""

import asyncio
import base64
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr

from pac.billing.app import build_service as billing
from pac.billing.settings import Settings as Billing
from pac.deployments.app import build_service as deployments
from pac.deployments.settings import Settings as Deployments
from pac.gateway.app import build_service as gateway
from pac.gateway.settings import Settings as Gateway
from pac.packages.app import build_service as packages
from pac.packages.settings import Settings as Packages
from pac.runtime_notifier.app import build_service as runtime_notifier
from pac.runtime_notifier.settings import Settings as RuntimeNotifier
from pac.servicekit.objects import ObjectsSettings
from pac.servicekit.run import Running
from pac.servicekit.service import Service
from pac.testkit.pages import main
from pac.testkit.service import service_settings

NOWHERE: Final = "http://127.0.0.1:1"
DATABASE: Final = "postgresql://nobody@127.0.0.1:1/nothing"
KEY: Final = base64.b64encode(bytes(range(32))).decode()
HEAD = """\
# Metrics

Generated from the registries of the services by `make generate`; not to be edited. Where they are served, and what to
ask of them: [observe PAC](../how-to/observe.md).

A histogram is read as `NAME_bucket`, `NAME_sum` and `NAME_count`. Each process has the figures that Python's client of
Prometheus keeps of it as well: `process_*` and `python_*`.
"""
COLUMNS = "| metric | type | labels | what it is |\n|---|---|---|---|\n"


@dataclass(frozen=True, order=True)
class Figure:
    """`name` as a scrape shows it: a counter's ends in `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str


def page() -> str:
    return HEAD + "".join(
        f"\n## {title}\n\n{COLUMNS}{_rows(those)}" for title, those in _sections(asyncio.run(figures()))
    )


async def figures() -> dict[str, set[Figure]]:
    """Service → what its process shows."""
    return {
        service.name.value: {*_held(Running(service).service.metrics.registry), *_held(REGISTRY)}
        for service in _services()
    }


def _services() -> Iterator[Service]:
    objects = ObjectsSettings(
        endpoint_url=NOWHERE, bucket="nothing", access_key_id="nobody", secret_access_key=SecretStr(KEY)
    )
    neighbours = ("packages_url", "deployments_url", "billing_url", "runtime_notifier_url")
    keys = {"admin_key": KEY, "key_pepper": KEY, "identity_key": KEY}
    yield gateway(service_settings(Gateway, database_url=DATABASE, **keys, **dict.fromkeys(neighbours, NOWHERE)))
    sealing = {"sealing_public_key": KEY, "fingerprint_key": KEY}
    yield packages(service_settings(Packages, database_url=DATABASE, proof_key=KEY, **sealing), objects)
    yield deployments(service_settings(Deployments, database_url=DATABASE, proof_key=KEY))
    yield billing(service_settings(Billing, database_url=DATABASE, proof_key=KEY))
    runtime = {"runtime_url": NOWHERE, "runtime_secret": KEY, "sealing_key": KEY, "key_encryption_key": KEY}
    yield runtime_notifier(service_settings(RuntimeNotifier, database_url=DATABASE, proof_key=KEY, **runtime), objects)


def _held(registry: CollectorRegistry) -> Iterator[Figure]:
    # The library tells of the names of labels, and of who is registered, only once there are values.
    for one in registry._collector_to_names:  # noqa: SLF001
        if isinstance(one, MetricWrapperBase):
            [told] = one.describe()
            name = f"{told.name}_total" if told.type == "counter" else told.name
            yield Figure(name, told.type, tuple(one._labelnames), told.documentation)  # noqa: SLF001


def _sections(shown: Mapping[str, set[Figure]]) -> Iterator[tuple[str, set[Figure]]]:
    everywhere = set.intersection(*shown.values())
    yield "Every service", everywhere
    for service, those in shown.items():
        if own := those - everywhere:
            yield service.capitalize(), own


def _rows(those: Iterable[Figure]) -> str:
    return "".join(
        f"| `{one.name}` | {one.kind} | {' '.join(f'`{label}`' for label in one.labels)} | {one.documentation} |\n"
        for one in sorted(those)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
