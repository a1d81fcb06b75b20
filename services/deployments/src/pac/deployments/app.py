"""The table of contents: what deployments serves, hears, runs and projects."""

from functools import partial

from pac.contracts.topics import ServiceName
from pac.deployments.api import Api, StatsCache
from pac.deployments.apps import Apps
from pac.deployments.consumers import Consumers
from pac.deployments.domain import decider
from pac.deployments.events import Events
from pac.deployments.figures import Figures
from pac.deployments.followers import Followers
from pac.deployments.history import History
from pac.deployments.invariants import laws_of_deployments
from pac.deployments.projections import STATUSES, Deployments
from pac.deployments.queries import Queries
from pac.deployments.queue import Queue
from pac.deployments.settings import Settings
from pac.deployments.slots import Dispatcher
from pac.deployments.sweeper import Sweeper
from pac.eventlog import EventLog, Projector, create_engine
from pac.servicekit.clock import utc_now
from pac.servicekit.http import Route
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.kafka import Consuming, Subscription
from pac.servicekit.metrics import Metrics, Sample
from pac.servicekit.proof.serving import Proofs
from pac.servicekit.service import Service


def build_service(settings: Settings) -> Service:
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=settings.pool_size)
    log = EventLog(engine, ServiceName.DEPLOYMENTS)
    metrics, consuming = Metrics(), Consuming()
    hub, queue = decider(settings.policy), Queue(Figures(metrics.registry))
    projector = Projector(log, Deployments())
    queries = Queries(log, settings.thresholds, settings.parallel_per_account, projector.name)
    history = History(log, hub)
    api = Api(log, hub, queue, history, queries, StatsCache(queries, utc_now), utc_now)
    followers = Followers(log, settings.streams_per_account, settings.streams_overall)
    events = Events(history, followers, settings.heartbeat_seconds)
    consumers = Consumers(log, hub, queue, utc_now)
    apps = Apps(log, queue, utc_now)
    return Service(
        name=ServiceName.DEPLOYMENTS,
        settings=settings,
        log=log,
        routes=[*routes_of(api, events, apps), *Proofs.of(log, settings).routes()],
        subscriptions=[
            Subscription(ServiceName.GATEWAY, consumers.on_gateway_event),
            Subscription(ServiceName.PACKAGES, consumers.on_package_event),
            Subscription(ServiceName.BILLING, consumers.on_billing_event),
            Subscription(ServiceName.RUNTIME_NOTIFIER, consumers.on_runtime_event),
        ],
        readers=[
            Dispatcher(log, hub, queue, settings.limits, utc_now, settings.dispatch_seconds),
            Sweeper(log, hub, queue, consuming, utc_now, settings.sweep_seconds),
            projector,
            followers,
        ],
        samples=[
            Sample("queue_deployments_waiting", "Deployments queued", queries.waiting),
            Sample("queue_deployments_with_slot", "Deployments that hold a slot", queries.with_slot),
            Sample("deployment_event_streams", "Event streams that are open", followers.count),
            Sample("queue_deployments_stuck", "Deployments past their deadline", lambda: queries.stuck(utc_now())),
            *(
                Sample(f"deployments_{status}", f"Deployments that count as {status}", partial(queries.counted, status))
                for status in STATUSES
            ),
        ],
        laws=laws_of_deployments(settings.thresholds),
        consuming=consuming,
        idempotency=Idempotency.of(log, settings.idempotency_secret),
        metrics=metrics,
    )


def routes_of(api: Api, events: Events, apps: Apps) -> list[Route]:
    return [
        Route("GET", "/api/deployments/queue/stats", api.get_queue_stats, public=True),
        Route("GET", "/api/deployments", api.get_deployments),
        Route("GET", "/api/deployments/{deployment_id}", api.get_deployment),
        Route("GET", "/api/deployments/{deployment_id}/events", events.get_events),
        Route("POST", "/api/deployments/{deployment_id}/cancel", api.cancel_deployment),
        Route("POST", "/api/agent-apps/{app_id}/release", apps.post_release),
        Route("POST", "/api/agent-apps/{app_id}/stop", apps.post_stop),
    ]
