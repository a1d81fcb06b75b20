"""What packages serves, hears and runs."""

import base64
from collections.abc import Sequence
from datetime import timedelta

from aiohttp import hdrs

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Jobs, Worker, create_engine
from pac.packages.again import Again
from pac.packages.answering import Answering, Waiting
from pac.packages.api import Api
from pac.packages.body import BodyLimits
from pac.packages.checker import Checker, CheckLimits
from pac.packages.collection import Collection
from pac.packages.consumers import Consumers
from pac.packages.contents import Contents
from pac.packages.deploy import Deploy
from pac.packages.environment import Sealer, Seals
from pac.packages.invariants import laws_of_packages
from pac.packages.leftovers import Leftovers
from pac.packages.queries import Queries
from pac.packages.redeploying import QUEUE as REDEPLOYS
from pac.packages.redeploying import Redeploying
from pac.packages.rollback import Rollback
from pac.packages.settings import Settings
from pac.packages.signatures import Signatures
from pac.packages.signing import SigningKeys
from pac.packages.submitting import Submitting
from pac.packages.sweep import Sweep
from pac.packages.uploads import Uploads
from pac.packages.work import Work
from pac.servicekit.clock import Clock, utc_now
from pac.servicekit.health import Check
from pac.servicekit.http import Route
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.kafka import Subscription
from pac.servicekit.objects import Objects, ObjectsSettings
from pac.servicekit.proof.serving import Proofs
from pac.servicekit.service import Service

STEPS = "steps"


def routes_of(api: Api, deploy: Deploy, again: Again, rollback: Rollback, signing: SigningKeys) -> Sequence[Route]:
    packages, signing_keys = "/api/agent-apps/{app_id}/packages", "/api/agent-apps/{app_id}/signing-keys"
    return (
        Route(hdrs.METH_POST, packages, deploy.post_package, lazy_body=True),
        Route(hdrs.METH_POST, f"{packages}/deploy", deploy.post_deploy, lazy_body=True),
        Route(hdrs.METH_GET, packages, api.get_packages),
        Route(hdrs.METH_GET, f"{packages}/{{package_id}}", api.get_package),
        Route(hdrs.METH_GET, f"{packages}/{{package_id}}/download", api.get_download),
        Route(hdrs.METH_DELETE, f"{packages}/{{package_id}}", api.delete_package),
        Route(hdrs.METH_POST, f"{packages}/{{package_id}}/deploy", again.post_stored),
        Route(hdrs.METH_POST, "/api/deployments/{deployment_id}/retry", again.post_retry),
        Route(hdrs.METH_POST, "/api/agent-apps/{app_id}/rollback", rollback.post_rollback),
        Route(hdrs.METH_GET, signing_keys, signing.get),
        Route(hdrs.METH_PUT, signing_keys, signing.put),
        Route(hdrs.METH_DELETE, signing_keys, signing.delete),
        Route(hdrs.METH_GET, "/internal/submissions/{deployment_id}", api.get_submission, internal=True),
        Route(hdrs.METH_GET, "/internal/apps/{app_id}/use", api.get_use, internal=True),
    )


def build_service(settings: Settings, objects_settings: ObjectsSettings, clock: Clock = utc_now) -> Service:
    log = EventLog(
        create_engine(settings.database_url.get_secret_value(), pool_size=settings.pool_size), ServiceName.PACKAGES
    )
    objects = Objects(objects_settings)
    leftovers = Leftovers(log, objects, clock)
    contents = Contents(log, objects, clock)
    queries = Queries(log)
    jobs, redeploys = Jobs(log, STEPS), Jobs(log, REDEPLOYS)
    checker = Checker(
        CheckLimits(
            workers=settings.check_workers,
            timeout_seconds=settings.check_timeout_seconds,
            processor_seconds=settings.check_processor_seconds,
            memory_bytes=settings.check_memory_bytes,
            temp_dir=settings.temp_dir,
        )
    )
    limits = BodyLimits(
        file_bytes=settings.max_size_bytes,
        idle_seconds=settings.upload_idle_seconds,
        minimum_bytes_per_second=settings.upload_minimum_bytes_per_second,
    )
    sealer = Sealer(base64.b64decode(settings.sealing_public_key.get_secret_value()), settings.fingerprint_key)
    seals = Seals(sealer, objects, leftovers)
    waiting = Waiting(settings.decision_wait_seconds, settings.relay_backlog_seconds)
    answering = Answering(log, waiting, settings.public_url.rstrip("/"))
    deploy = Deploy(
        log=log,
        queries=queries,
        uploads=Uploads(objects, leftovers, limits, settings.temp_dir, settings.upload_deadline_seconds),
        checker=checker,
        signatures=Signatures(log, checker),
        submitting=Submitting(log, clock, settings.holder_wait_seconds),
        objects=objects,
        contents=contents,
        seals=seals,
        answering=answering,
        clock=clock,
    )
    again = Again(log, queries, objects, seals, answering, clock, settings.holder_wait_seconds)
    consumers = Consumers(log, jobs, redeploys, clock)
    work = Work(log, objects, contents, leftovers, checker, settings.temp_dir, clock)
    age, grace = timedelta(seconds=settings.staging_age_seconds), timedelta(seconds=settings.keep_unused_seconds)
    collection = Collection(log, objects, clock, grace, age)
    return Service(
        name=ServiceName.PACKAGES,
        settings=settings,
        log=log,
        routes=(
            *routes_of(
                Api(log, queries, objects, clock, settings.download_seconds),
                deploy,
                again,
                Rollback(again),
                SigningKeys(log, checker, clock),
            ),
            *Proofs.of(log, settings).routes(),
        ),
        subscriptions=(
            Subscription(ServiceName.DEPLOYMENTS, consumers.on_deployments_event),
            Subscription(ServiceName.BILLING, consumers.on_billing_event),
            Subscription(ServiceName.GATEWAY, consumers.on_gateway_event),
            Subscription(ServiceName.RUNTIME_NOTIFIER, consumers.on_runtime_event),
        ),
        readers=(
            Worker(jobs, work.handle, parallel=settings.steps_parallel),
            Worker(redeploys, Redeploying(log, again).handle),
            Sweep(leftovers, collection, settings.temp_dir, settings.sweep_interval_seconds, age),
        ),
        resources=(objects, checker),
        checks=(Check("objects", objects.check),),
        laws=laws_of_packages(objects),
        idempotency=Idempotency.of(log, settings.idempotency_secret),
    )
