"""GET …/env/explain: per name which layer wins and which lose, put together from three services. Never a value.

runtime-notifier knows what the current release brought and what is stored; it must be there. packages knows the names
in the release's `.env`, deployments when its request came: what they do not say is left out, and named in `unknown`.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import ValidationError

from pac.agentkit.environment import Layer, Layers, explain
from pac.contracts.bodies.secrets import SecretView, StoredLayersReply
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Upstreams
from pac.gateway.views import ExplainedReply, ExplainedView, SourceView

OK = 200
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What was asked for. `dotenv`: the names in the package's `.env`; None where nobody has said."""

    stored: StoredLayersReply
    requested_at: datetime | None
    dotenv: tuple[str, ...] | None
    packed_at: datetime | None


@dataclass(frozen=True)
class Explaining:
    upstreams: Upstreams
    timeout_seconds: float = 2.0

    async def explained(self, request: web.Request, caller: Caller, app_id: UUID) -> ExplainedReply:
        """Refused (503) while runtime-notifier is away."""
        stored = await self._stored(request, caller, app_id)
        package, deployment = await asyncio.gather(
            self._package(request, caller, app_id, stored.package_id),
            self._deployment(request, caller, stored.environment_of),
        )
        names = (package.get("metadata") or {}).get("env_names")
        return explained(
            Found(
                stored=stored,
                requested_at=_time(deployment.get("created_at")),
                dotenv=None if names is None else tuple(names),
                packed_at=_time(package.get("created_at")),
            )
        )

    async def _stored(self, request: web.Request, caller: Caller, app_id: UUID) -> StoredLayersReply:
        path = f"/internal/agent-apps/{app_id}/layers"
        told = await self._asked(request, ServiceName.RUNTIME_NOTIFIER, path, caller)
        try:
            return StoredLayersReply.model_validate(told)
        except ValidationError:  # not there, or of another release
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None

    async def _package(self, request: web.Request, caller: Caller, app_id: UUID, package_id: UUID | None) -> Json:
        path = f"/api/agent-apps/{app_id}/packages/{package_id}"
        told = await self._asked(request, ServiceName.PACKAGES, path, caller) if package_id is not None else None
        return {} if told is None else dict(told.get("package", {}))

    async def _deployment(self, request: web.Request, caller: Caller, deployment_id: UUID | None) -> Json:
        path = f"/api/deployments/{deployment_id}"
        told = await self._asked(request, ServiceName.DEPLOYMENTS, path, caller) if deployment_id is not None else None
        return {} if told is None else dict(told.get("deployment", {}))

    async def _asked(self, request: web.Request, to: ServiceName, path: str, caller: Caller) -> Json | None:
        """None if the service does not say."""
        try:
            answer = await self.upstreams.fetch(request, to, path, caller, timeout_seconds=self.timeout_seconds)
        except OSError:
            return None
        told: Json | None = json.loads(answer.body) if answer.status == OK else None
        return told


def explained(found: Found) -> ExplainedReply:
    """Pure. The precedence is agentkit's, which is handed names with nothing in them."""
    stored, secrets = found.stored, {one.key: one for one in found.stored.stored}
    layers = Layers(
        request=dict.fromkeys(stored.request, ""),
        provider=dict.fromkeys(secrets, ""),
        dotenv=dict.fromkeys(found.dotenv or (), ""),
        base={},
    )
    unknown = [Layer.BASE] if found.dotenv is not None or stored.deployment_id is None else [Layer.DOTENV, Layer.BASE]
    views = [
        ExplainedView(
            key=one.key,
            wins=one.wins,
            loses=one.loses,
            sources=tuple(_source(layer, found, secrets.get(one.key)) for layer in (one.wins, *one.loses)),
        )
        for one in explain(layers)
    ]
    return ExplainedReply(
        deployment_id=stored.deployment_id,
        secrets_version=stored.secrets_version,
        is_given=stored.is_given,
        env=tuple(views),
        unknown=tuple(unknown),
    )


def _source(layer: Layer, found: Found, secret: SecretView | None) -> SourceView:
    match layer:
        case Layer.REQUEST:
            by = found.stored.environment_of
            return SourceView(layer=layer, set_at=found.requested_at, deployment_id=by)
        case Layer.PROVIDER:
            assert secret is not None
            return SourceView(layer=layer, set_at=secret.set_at, set_by=secret.set_by, version=secret.version)
        case _:
            return SourceView(layer=layer, set_at=found.packed_at, package_id=found.stored.package_id)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
