"""A service as its app.py describes it: what it serves, hears and runs, and what it needs for that."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from aiohttp.typedefs import Middleware

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog
from pac.servicekit.health import Check
from pac.servicekit.http import Route
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.invariants import Law
from pac.servicekit.kafka import Consuming, Subscription
from pac.servicekit.metrics import Metrics, Sample
from pac.servicekit.settings import ServiceSettings
from pac.servicekit.supervision import Reader


@dataclass(frozen=True)
class Service:
    """`resources` are entered before anything runs and left last; `also_listen` are further addresses of the same app.

    Its events go to Kafka without more being said: whoever runs a service runs its relay. `laws` are its own, beside
    those of every service.
    `idempotency` keeps what was answered to an Idempotency-Key.
    `consuming` is the object that a sweeper was given in app.py; it is filled in when the subscriptions start.
    """

    name: ServiceName
    settings: ServiceSettings
    log: EventLog
    routes: Sequence[Route] = ()
    subscriptions: Sequence[Subscription] = ()
    readers: Sequence[Reader] = ()
    resources: Sequence[AbstractAsyncContextManager[Any]] = ()
    checks: Sequence[Check] = ()
    samples: Sequence[Sample] = ()
    laws: Sequence[Law] = ()
    middlewares: Sequence[Middleware] = ()
    also_listen: Sequence[tuple[str, int]] = ()
    idempotency: Idempotency | None = None
    consuming: Consuming = field(default_factory=Consuming)
    metrics: Metrics = field(default_factory=Metrics)
