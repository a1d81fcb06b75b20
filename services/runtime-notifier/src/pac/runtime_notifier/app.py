"""The table of contents of runtime-notifier: what it hears, and what it drives."""

from sqlalchemy import func, select

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Jobs, Worker, create_engine
from pac.runtime_notifier.consumers import Consumers
from pac.runtime_notifier.courier import Courier
from pac.runtime_notifier.environments import Environments, NothingStored
from pac.runtime_notifier.errands import QUEUE
from pac.runtime_notifier.fleet import Fleet
from pac.runtime_notifier.reconciler import Reconciler
from pac.runtime_notifier.runtime import Runtime
from pac.runtime_notifier.settings import Settings
from pac.runtime_notifier.tables import APPS
from pac.runtime_notifier.watching import Pace, Watch
from pac.runtime_notifier.webhooks.api import Limits, WebhooksApi
from pac.runtime_notifier.webhooks.deliverer import Deliverer, Figures
from pac.runtime_notifier.webhooks.outbox import Outbox
from pac.runtime_notifier.webhooks.queries import Queries
from pac.runtime_notifier.webhooks.sweep import WebhookSweep
from pac.servicekit.clock import utc_now
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
    runtime = Runtime(
        str(settings.runtime_url),
        settings.runtime_secret,
        timeout_seconds=settings.runtime_timeout_seconds,
        answer_max_bytes=settings.runtime_answer_max_bytes,
    )
    watch = Watch(
        runtime=runtime,
        store=objects,
        environments=Environments(objects, NothingStored(), settings.sealing_key_bytes),
        accepts_environment=settings.runtime_accepts_environment,
        pace=Pace(late_limit_seconds=settings.late_limit_seconds, url_seconds=settings.runtime_url_seconds),
        secret=settings.runtime_secret,
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
    consumers = Consumers(log, fleet, outbox)
    courier = Courier(log, fleet, runtime, watch)
    return Service(
        name=ServiceName.RUNTIME_NOTIFIER,
        settings=settings,
        log=log,
        routes=[*webhooks.routes(), *Proofs.of(log, settings).routes()],
        subscriptions=(
            Subscription(ServiceName.GATEWAY, consumers.on_gateway_event),
            Subscription(ServiceName.DEPLOYMENTS, consumers.on_deployments_event),
        ),
        readers=(
            Worker(jobs, courier.handle, parallel=settings.runtime_parallel),
            Reconciler(log, fleet, runtime, settings.reconcile_seconds),
            Worker(outbox.jobs, deliverer.handle, parallel=settings.webhook_parallel),
            WebhookSweep(outbox, settings.webhook_keep_days, utc_now),
        ),
        resources=(objects, runtime, outgoing),
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


async def orphans(log: EventLog) -> float:
    async with log.reading() as connection:
        return float(await connection.scalar(select(func.count()).select_from(APPS).where(APPS.c.is_orphan)) or 0)
