"""The table of contents: what the gateway serves, and what it needs for that."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, assert_never

from aiohttp import web
from joserfc.jwk import OctKey

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, create_engine
from pac.gateway.api import Api
from pac.gateway.app_use import AppUse
from pac.gateway.auth import AdminKey, ApiKeys, Authentication
from pac.gateway.believed import Believed
from pac.gateway.consumers import Consumers
from pac.gateway.early import Early
from pac.gateway.explaining import Explaining
from pac.gateway.forward import Instead, Limits, Upstreams
from pac.gateway.gate import Gate
from pac.gateway.held import Held
from pac.gateway.instances import Instances
from pac.gateway.invariants import LiveLaws
from pac.gateway.jwks import PublishedKeys
from pac.gateway.keys import Pepper
from pac.gateway.limits import CallLimits, Policy
from pac.gateway.origins import Origins, normal
from pac.gateway.owners import Owners
from pac.gateway.proofs import Proofs
from pac.gateway.queries import Queries
from pac.gateway.quote import Quote
from pac.gateway.routes import ROUTES, Forward, Own
from pac.gateway.session_settings import JWKS_PATH
from pac.gateway.sessions import FirstSight, Sessions
from pac.gateway.settings import Settings
from pac.gateway.status import LastAnswers, Status
from pac.gateway.throttle import Throttle
from pac.gateway.tokens import AccessTokens
from pac.gateway.uses import LastUses
from pac.servicekit.http import Handler, Route, flag_in, respond
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.identity import IdentitySigner
from pac.servicekit.invariants import Invariants
from pac.servicekit.kafka import Subscription
from pac.servicekit.laws import laws_of_every_service
from pac.servicekit.service import Service


def build_service(settings: Settings) -> Service:
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=settings.pool_size)
    log, queries = EventLog(engine, ServiceName.GATEWAY), Queries(engine)
    pepper = Pepper(settings.key_pepper.get_secret_value().encode())
    uses = LastUses(queries, settings.key_use_interval_seconds, settings.key_cache_size)
    api_keys = ApiKeys(queries, pepper, _held(settings), uses)
    published = _published_keys(settings)
    sessions = Sessions(
        _access_tokens(settings, published), queries, FirstSight(log), _origins(settings), _held(settings)
    )
    upstreams = Upstreams(
        _instances(settings), IdentitySigner.from_base64(settings.identity_key.get_secret_value()), _limits(settings)
    )
    owners = Owners(upstreams, settings.status_kept_answers, timeout_seconds=settings.status_timeout_seconds)
    limits = _call_limits(settings)
    idempotency = Idempotency.of(log, settings.key_pepper.get_secret_value().encode())
    handlers = Handlers(
        idempotency=idempotency,
        gate=Gate(Authentication((AdminKey(settings.admin_key), api_keys, sessions)), queries, owners, limits),
        api=Api(
            log,
            queries,
            Believed(api_keys, sessions),
            pepper=pepper,
            app_use=AppUse(upstreams),
            live_laws=LiveLaws(Invariants(log, laws_of_every_service(log)), upstreams),
            proofs=Proofs(upstreams),
            explaining=Explaining(upstreams, settings.status_timeout_seconds),
            runtimes=settings.runtime_names,
        ),
        upstreams=upstreams,
        limits=limits,
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
        readers=[uses],
        resources=[upstreams] if published is None else [upstreams, published],
        idempotency=idempotency,
        also_listen=[(settings.host, settings.second_port)] if settings.second_port is not None else [],
    )


@dataclass(frozen=True)
class Handlers:
    """From a line of the table to what is done for it."""

    gate: Gate
    api: Api
    upstreams: Upstreams
    status: Status
    limits: CallLimits
    early: Early
    quote: Quote
    idempotency: Idempotency

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
            caller = await self.gate.admit(request, route)

            async def answer(request: web.Request) -> web.StreamResponse:
                return await route.handler(self.api, request, caller)

            return await self.idempotency.around(
                request, caller, lambda admitted: respond(admitted, answer), lazy_body=False
            )

        return serve

    def _forward(self, route: Forward) -> Handler:
        async def forward(request: web.Request) -> web.StreamResponse:
            if route.public:
                self.limits.asked_by_anyone(request)
            caller = await self.gate.admit(request, route)
            instead = self._instead(route, request)
            if route.quoted and instead is None:
                await self.quote.look(request, caller)
            with self.limits.upload(caller.account_id) if route.upload else nullcontext():
                return await self.upstreams.forward(request, route.to, caller, instead=instead)

        return forward

    def _instead(self, route: Forward, request: web.Request) -> Instead | None:
        if route.quoted and flag_in(request, "dry_run"):
            return self.quote.compose
        return self.early.refuse(route.early) if route.early else None

    def _status(self, route: Forward) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            patience = self.status.patience_seconds
            return await self.status.answer(request, await self.gate.admit(request, route, patience_seconds=patience))

        return answer


def _held(settings: Settings) -> Held[Any, Any]:
    return Held(
        settings.key_cache_size,
        ttl_seconds=settings.key_ttl_seconds,
        outage_seconds=settings.key_outage_seconds,
        lookup_timeout_seconds=settings.key_lookup_timeout_seconds,
    )


def _published_keys(settings: Settings) -> PublishedKeys | None:
    """An issuer publishes its keys at a known place, so its name alone is enough."""
    url, issuer = settings.supabase_jwks_url, settings.supabase_issuer
    if url is None and issuer is not None:
        url = issuer.rstrip("/") + JWKS_PATH
    if url is None:
        return None
    return PublishedKeys(
        url,
        max_age_seconds=settings.session_keys_max_age_seconds,
        refetch_seconds=settings.session_keys_refetch_seconds,
        timeout_seconds=settings.session_keys_timeout_seconds,
    )


def _access_tokens(settings: Settings, published: PublishedKeys | None) -> AccessTokens:
    secret = settings.supabase_jwt_secret
    return AccessTokens(
        secret=None if secret is None else OctKey.import_key(secret.get_secret_value().encode()),
        published=published,
        issuer=settings.supabase_issuer,
        leeway_seconds=settings.session_leeway_seconds,
    )


def _origins(settings: Settings) -> Origins:
    pages = [settings.public_url or f"http://localhost:{settings.port}", *settings.trusted_origins.split(",")]
    return Origins(frozenset(filter(None, map(normal, pages))))


def _instances(settings: Settings) -> Mapping[ServiceName, Instances]:
    return {
        ServiceName.PACKAGES: Instances.of(settings.packages_url),
        ServiceName.DEPLOYMENTS: Instances.of(settings.deployments_url),
        ServiceName.BILLING: Instances.of(settings.billing_url),
        ServiceName.RUNTIME_NOTIFIER: Instances.of(settings.runtime_notifier_url),
    }


def _call_limits(settings: Settings) -> CallLimits:
    def policy(name: str, per_second: float, burst: int) -> Policy:
        return Policy(name, Throttle(per_second, burst, settings.limited_callers_max))

    return CallLimits(
        callers=policy("caller", settings.caller_requests_per_second, settings.caller_requests_burst),
        failures=policy("refused", settings.refused_requests_per_second, settings.refused_requests_burst),
        public=policy("public", settings.public_requests_per_second, settings.public_requests_burst),
        uploads_of_account=settings.uploads_per_account,
        proxies=settings.trusted_proxies,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=settings.upstream_connections,
        connect_timeout_seconds=settings.upstream_connect_timeout_seconds,
        pool_timeout_seconds=settings.upstream_pool_timeout_seconds,
        answer_timeout_seconds=settings.upstream_answer_timeout_seconds,
        total_timeout_seconds=settings.upstream_total_timeout_seconds,
    )
