"""The table of contents: what the gateway serves, and what it needs for that."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import assert_never

import structlog
from aiohttp import web

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, create_engine
from pac.gateway.api import Api
from pac.gateway.auth import AdminKey, ApiKeys, Authentication, KeyCache
from pac.gateway.consumers import Consumers
from pac.gateway.early import Early
from pac.gateway.forward import Instead, Limits, Upstreams
from pac.gateway.gate import Gate
from pac.gateway.instances import Instances
from pac.gateway.invariants import LiveLaws
from pac.gateway.keys import Pepper
from pac.gateway.queries import Queries
from pac.gateway.quote import Quote
from pac.gateway.routes import ROUTES, Forward, Own
from pac.gateway.settings import Settings
from pac.gateway.status import LastAnswers, Status
from pac.gateway.throttle import Throttle
from pac.servicekit.http import Handler, Route, flag_in
from pac.servicekit.identity import IdentitySigner
from pac.servicekit.invariants import Invariants
from pac.servicekit.kafka import Subscription
from pac.servicekit.laws import laws_of_every_service
from pac.servicekit.service import Service

logger = structlog.get_logger(__name__)


def build_service(settings: Settings) -> Service:
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=settings.pool_size)
    log, queries = EventLog(engine, ServiceName.GATEWAY), Queries(engine)
    pepper = Pepper(settings.key_pepper.get_secret_value().encode())
    cache = KeyCache(settings.key_cache_size)
    api_keys = ApiKeys(
        queries,
        pepper,
        cache,
        ttl_seconds=settings.key_ttl_seconds,
        outage_seconds=settings.key_outage_seconds,
        lookup_timeout_seconds=settings.key_lookup_timeout_seconds,
    )
    upstreams = Upstreams(
        _instances(settings), IdentitySigner.from_base64(settings.identity_key.get_secret_value()), _limits(settings)
    )
    handlers = Handlers(
        gate=Gate(Authentication((AdminKey(settings.admin_key), api_keys)), queries),
        api=Api(log, queries, pepper, cache, LiveLaws(Invariants(log, laws_of_every_service(log)), upstreams)),
        upstreams=upstreams,
        throttle=Throttle(settings.public_requests_per_second, settings.public_requests_burst),
        status=Status(
            upstreams,
            LastAnswers(settings.status_kept_answers),
            timeout_seconds=settings.status_timeout_seconds,
            patience_seconds=settings.status_patience_seconds,
        ),
        early=Early(upstreams, settings.status_timeout_seconds),
        quote=Quote(upstreams, settings.status_timeout_seconds),
    )
    return Service(
        name=ServiceName.GATEWAY,
        # Nobody may tell the gateway who is calling: a PAC-Identity that comes in is not even looked at.
        settings=settings.model_copy(update={"identity_public_key": None}),
        log=log,
        # The gate knows who is calling, so the kit must not ask for an identity; and no body comes before it.
        routes=[
            Route(route.method, route.path, handlers.handler(route), public=True, lazy_body=True) for route in ROUTES
        ],
        subscriptions=[Subscription(ServiceName.DEPLOYMENTS, Consumers(log).on_deployments_event)],
        resources=[upstreams, _told(settings)],
        also_listen=[(settings.host, settings.second_port)] if settings.second_port is not None else [],
    )


@dataclass(frozen=True)
class Handlers:
    """From a line of the table to what is done for it."""

    gate: Gate
    api: Api
    upstreams: Upstreams
    status: Status
    early: Early
    quote: Quote
    throttle: Throttle

    def handler(self, route: Forward | Own) -> Handler:
        match route:
            case Own():
                return self._own(route)
            case Forward(status=True):
                return self._status(route)
            case Forward():
                return self._forward(route)
            case _:
                assert_never(route)

    def _own(self, route: Own) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await route.handler(self.api, request, await self.gate.admit(request, route))

        return serve

    def _forward(self, route: Forward) -> Handler:
        async def forward(request: web.Request) -> web.StreamResponse:
            if route.public:  # behind a proxy the address is the proxy's: then this is the limit for all together
                self.throttle.take(request.remote or "")
            caller = await self.gate.admit(request, route)
            return await self.upstreams.forward(request, route.to, caller, instead=self._instead(route, request))

        return forward

    def _instead(self, route: Forward, request: web.Request) -> Instead | None:
        if route.quoted and flag_in(request, "dry_run"):
            return self.quote.compose
        return self.early.refuse if route.early else None

    def _status(self, route: Forward) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            patience = self.status.patience_seconds
            return await self.status.answer(request, await self.gate.admit(request, route, patience_seconds=patience))

        return answer


@asynccontextmanager
async def _told(settings: Settings) -> AsyncIterator[None]:
    """At the start, when logging has been set up."""
    if settings.of_sessions:
        logger.warning("sessions_not_served_yet", ignored=settings.of_sessions, served="API keys only")
    yield


def _instances(settings: Settings) -> Mapping[ServiceName, Instances]:
    return {
        ServiceName.PACKAGES: Instances.of(settings.packages_url),
        ServiceName.DEPLOYMENTS: Instances.of(settings.deployments_url),
        ServiceName.BILLING: Instances.of(settings.billing_url),
        ServiceName.RUNTIME_NOTIFIER: Instances.of(settings.runtime_notifier_url),
    }


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=settings.upstream_connections,
        connect_timeout_seconds=settings.upstream_connect_timeout_seconds,
        pool_timeout_seconds=settings.upstream_pool_timeout_seconds,
        answer_timeout_seconds=settings.upstream_answer_timeout_seconds,
        total_timeout_seconds=settings.upstream_total_timeout_seconds,
    )
