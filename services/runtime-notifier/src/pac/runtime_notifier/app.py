"""The table of contents of runtime-notifier: what it serves, what it hears, and what it drives."""

from sqlalchemy import func, select

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Jobs, Worker, create_engine
from pac.runtime_notifier.consumers import Consumers
from pac.runtime_notifier.courier import Courier
from pac.runtime_notifier.environments import Environments
from pac.runtime_notifier.errands import QUEUE
from pac.runtime_notifier.fleet import Fleet
from pac.runtime_notifier.hiding import Hiding
from pac.runtime_notifier.layers import LayersApi
from pac.runtime_notifier.logs import Logs, Seats
from pac.runtime_notifier.logs import Pace as LogsPace
from pac.runtime_notifier.reconciler import Reconciler
from pac.runtime_notifier.secrets.api import Api as SecretsApi
from pac.runtime_notifier.secrets.vault import Vault
from pac.runtime_notifier.settings import Settings
from pac.runtime_notifier.tables import APPS
from pac.runtime_notifier.watching import Pace, Watch
from pac.runtime_notifier.webhooks.api import Limits, WebhooksApi
from pac.runtime_notifier.webhooks.deliverer import Deliverer, Figures
from pac.runtime_notifier.webhooks.outbox import Outbox
from pac.runtime_notifier.webhooks.queries import Queries
from pac.runtime_notifier.webhooks.sweep import WebhookSweep
from pac.servicekit.clock import utc_now
from pac.servicekit.http import Route
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.kafka import Subscription
from pac.servicekit.metrics import Metrics, Sample
from pac.servicekit.objects import Objects, ObjectsSettings
from pac.servicekit.outgoing import Outgoing
from pac.servicekit.proof.serving import Proofs
from pac.servicekit.service import Service


def build_service(settings: Settings, objects_settings: ObjectsSettings) -> Service:
    log = EventLog(
        create_engine(settings.database_url.get_secret_value(), pool_size=settings.pool_size),
        ServiceName.RUNTIME_NOTIFIER,
    )
    metrics, jobs = Metrics(), Jobs(log, QUEUE)
    fleet = Fleet(jobs, settings.give_again_seconds)
    objects = Objects(objects_settings)
    runtimes, vault = settings.every_runtime, Vault(log, settings.key_ring)
    environments = Environments(objects, vault, settings.sealing_key_bytes)
    hiding = Hiding(environments, runtimes)
    watch = Watch(
        runtimes=runtimes,
        store=objects,
        environments=environments,
        pace=Pace(late_limit_seconds=settings.late_limit_seconds, url_seconds=settings.runtime_url_seconds),
        hiding=hiding,
    )
    logs = Logs(
        log,
        runtimes,
        hiding,
        Seats(settings.log_followers_per_account, settings.log_followers_overall),
        LogsPace(longest_seconds=settings.log_follow_seconds),
    )
    outbox, outgoing = Outbox.of(log), outgoing_of(settings)
    deliverer = Deliverer(
        log=log,
        outbox=outbox,
        outgoing=outgoing,
        seals=settings.webhook_seals,
        policy=settings.webhook_policy,
        parallel=settings.webhook_parallel_per_endpoint,
        figures=Figures(metrics.registry),
        now=utc_now,
    )
    webhooks = WebhooksApi(
        log=log,
        outbox=outbox,
        queries=Queries(log),
        seals=settings.webhook_seals,
        rules=settings.webhook_rules,
        limits=Limits(
            settings.webhooks_per_app, settings.webhook_rotation_seconds, settings.webhook_timeout_seconds + 2
        ),
        now=utc_now,
    )
    consumers = Consumers(log, fleet, outbox, erasers=(vault.erase,))
    courier = Courier(log, fleet, runtimes, watch)
    return Service(
        name=ServiceName.RUNTIME_NOTIFIER,
        settings=settings,
        log=log,
        routes=(
            *secrets_routes(SecretsApi(vault, utc_now)),
            *environment_routes(LayersApi(log, vault, runtimes), logs),
            *webhooks.routes(),
            *Proofs.of(log, settings).routes(),
        ),
        subscriptions=(
            Subscription(ServiceName.GATEWAY, consumers.on_gateway_event),
            Subscription(ServiceName.DEPLOYMENTS, consumers.on_deployments_event),
        ),
        readers=(
            Worker(jobs, courier.handle, parallel=settings.runtime_parallel),
            Reconciler(log, fleet, runtimes, settings.reconcile_seconds),
            Worker(outbox.jobs, deliverer.handle, parallel=settings.webhook_parallel),
            WebhookSweep(outbox, settings.webhook_keep_days, utc_now),
        ),
        resources=(objects, runtimes, outgoing),
        idempotency=Idempotency.of(log, settings.idempotency_secret),
        samples=(
            Sample("runtime_orphans", "Apps that run although nothing should", lambda: orphans(log)),
            Sample("webhook_messages_waiting", "Notices that wait to be delivered", outbox.waiting),
        ),
        metrics=metrics,
    )


def outgoing_of(settings: Settings) -> Outgoing:
    return Outgoing(
        settings.webhook_rules,
        timeout_seconds=settings.webhook_timeout_seconds,
        answer_max_bytes=settings.webhook_answer_max_bytes,
    )


def secrets_routes(api: SecretsApi) -> list[Route]:
    return [
        Route("GET", "/api/agent-apps/{app_id}/secrets", api.get_secrets),
        Route("POST", "/api/agent-apps/{app_id}/secrets", api.set_secrets),
        Route("DELETE", "/api/agent-apps/{app_id}/secrets", api.delete_secrets),
        Route("GET", "/api/agent-apps/{app_id}/secrets/versions", api.get_versions),
        Route("POST", "/api/agent-apps/{app_id}/secrets/restore", api.restore_secrets),
        Route("PUT", "/api/agent-apps/{app_id}/secrets/{secret_name}", api.put_secret),
        Route("DELETE", "/api/agent-apps/{app_id}/secrets/{secret_name}", api.delete_secret),
    ]


def environment_routes(layers: LayersApi, logs: Logs) -> list[Route]:
    return [
        Route("GET", "/internal/agent-apps/{app_id}/layers", layers.get_layers, internal=True),
        Route("GET", "/api/deployments/{deployment_id}/logs", logs.get_logs),
    ]


async def orphans(log: EventLog) -> float:
    async with log.reading() as connection:
        return float(await connection.scalar(select(func.count()).select_from(APPS).where(APPS.c.is_orphan)) or 0)
