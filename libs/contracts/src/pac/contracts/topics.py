"""The services, their topics, and which events each may say."""

from enum import StrEnum
from typing import Any, get_args

from pydantic import TypeAdapter

from pac.contracts.base import Event
from pac.contracts.billing import BillingEvent
from pac.contracts.deployments import DeploymentsEvent
from pac.contracts.gateway import GatewayEvent
from pac.contracts.packages import PackageEvent
from pac.contracts.runtime_notifier import RuntimeNotifierEvent


class ServiceName(StrEnum):
    GATEWAY = "gateway"
    PACKAGES = "packages"
    DEPLOYMENTS = "deployments"
    BILLING = "billing"
    RUNTIME_NOTIFIER = "runtime-notifier"

    @property
    def topic(self) -> str:
        return f"{self.value}.events"

    @property
    def dead_letters(self) -> str:
        return f"{self.value}.dead-letters"

    @property
    def module(self) -> str:
        """Its Python package, and its database's name, as the last word."""
        return self.value.replace("-", "_")

    @property
    def variable(self) -> str:
        """The prefix of its settings in the environment."""
        return self.module.upper() + "_"


UNIONS: dict[ServiceName, Any] = {
    ServiceName.GATEWAY: GatewayEvent,
    ServiceName.PACKAGES: PackageEvent,
    ServiceName.DEPLOYMENTS: DeploymentsEvent,
    ServiceName.BILLING: BillingEvent,
    ServiceName.RUNTIME_NOTIFIER: RuntimeNotifierEvent,
}
EVENTS_OF: dict[ServiceName, TypeAdapter[Any]] = {service: TypeAdapter(union) for service, union in UNIONS.items()}


def event_types(service: ServiceName) -> tuple[type[Event], ...]:
    """Every event that a service may say, in the order of its module."""
    union, *_ = get_args(UNIONS[service])
    return get_args(union)


def event_of(service: ServiceName, data: object) -> Event:
    """The event that `data` (parsed JSON) is; pydantic's ValidationError if it is none of that service."""
    event = EVENTS_OF[service].validate_python(data)
    assert isinstance(event, Event)
    return event
