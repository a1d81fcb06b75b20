"""The table of contents of billing: what it serves and hears."""

from pac.billing.accounts import Accounts
from pac.billing.api import Api
from pac.billing.consumers import Consumers
from pac.billing.figures import Figures
from pac.billing.invariants import LAWS_OF_MONEY
from pac.billing.queries import Queries, movements_of
from pac.billing.settings import Settings
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, create_engine
from pac.servicekit.http import Route
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.kafka import Subscription
from pac.servicekit.metrics import Metrics
from pac.servicekit.proof.serving import Proofs
from pac.servicekit.service import Service


def build_service(settings: Settings) -> Service:
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=settings.pool_size)
    log = EventLog(engine, ServiceName.BILLING)
    metrics = Metrics()
    accounts = Accounts(Figures(metrics.registry))
    api = Api(log, accounts, Queries(engine))
    consumers = Consumers(log, accounts, settings.signup_credits)
    return Service(
        name=ServiceName.BILLING,
        settings=settings,
        log=log,
        routes=(*routes_of(api), *Proofs.of(log, settings, movements_of).routes()),
        subscriptions=(
            Subscription(ServiceName.GATEWAY, consumers.on_gateway_event),
            Subscription(ServiceName.DEPLOYMENTS, consumers.on_deployments_event),
        ),
        laws=LAWS_OF_MONEY,
        idempotency=Idempotency.of(log, settings.idempotency_secret),
        metrics=metrics,
    )


def routes_of(api: Api) -> tuple[Route, ...]:
    return (
        Route("GET", "/api/credits", api.get_credits),
        Route("GET", "/api/credits/ledger", api.get_ledger),
        Route("GET", "/internal/quote", api.get_quote, internal=True),
        Route("POST", "/api/admin/accounts/{account_id}/credits", api.grant_credits),
    )
