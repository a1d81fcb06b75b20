"""The client of a runtime's HTTP contract: POST /deploy, and of /deployments/{id}: GET health, POST stop, GET logs.

The contract is the real runtime's ("new"); `environment`, stop and logs are additions of the local one. Answers
are the words of a stranger: limited in size and time, parsed strictly, never redirected by. Outcomes are values;
nothing here retries, and what was not clearly answered is `Unclear`: ask for the health, never assume.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import UUID

import aiohttp
from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, StrictBool, StrictStr, ValidationError

from pac.contracts.base import one_line
from pac.eventlog.tracing import SpanKind, traced
from pac.runtime_notifier.running import DEFAULT_RUNTIME

JSON = "application/json"
LOGS_MAX_BYTES = 8 * 1_048_576  # of JSON around the text that was asked for: a line of one letter takes a hundred


@dataclass(frozen=True)
class Package:
    """What a runtime is told of a package. `url` is signed: it is shown nowhere; `environment` holds secrets."""

    wire_id: str
    account_id: UUID
    agent_app_id: UUID
    version: str
    url: SecretStr
    sha256: str
    force_refresh: bool
    environment: Mapping[str, SecretStr] | None = None
    traceparent: str | None = None

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "deploymentId": self.wire_id,
            "agentAppId": str(self.agent_app_id),
            "orgId": str(self.account_id),
            "version": self.version,
            "packageUrl": self.url.get_secret_value(),
            "packageSha256": self.sha256,
            "forceRefresh": self.force_refresh,
        }
        if self.environment is not None:
            body["environment"] = {name: value.get_secret_value() for name, value in self.environment.items()}
        return body


@dataclass(frozen=True)
class Accepted:
    pass


@dataclass(frozen=True)
class RefusedByRuntime:
    """It will not take this, and why; `retriable` where another try may find it in another mood."""

    reason: str
    retriable: bool


@dataclass(frozen=True)
class Unclear:
    """Not reached, a server error, an answer that is none. `why` is for the log."""

    why: str


@dataclass(frozen=True)
class Health:
    """`healthy` only when the runtime says so twice: `healthy` true and `status` "healthy"."""

    status: str
    healthy: bool
    message: str | None


@dataclass(frozen=True)
class Unknown:
    """The runtime knows no such wire id."""


@dataclass(frozen=True)
class CannotStop:
    """This runtime has no unload."""


@dataclass(frozen=True)
class StopTaken:
    pass


class LogLine(BaseModel):
    """What an agent has printed, on `stream`."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    at: AwareDatetime
    stream: StrictStr
    text: StrictStr


@dataclass(frozen=True)
class Output:
    """The newest lines, oldest first; `truncated`: there were older ones."""

    lines: tuple[LogLine, ...]
    truncated: bool


@dataclass(frozen=True)
class NoOutput:
    """It gives none: of this wire, or at all."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _AcceptedAnswer(_Answer):
    status: StrictStr
    deploymentId: StrictStr  # noqa: N815 - the contract's name


class _HealthAnswer(_Answer):
    status: StrictStr
    healthy: StrictBool
    message: StrictStr | None = None


class _LogsAnswer(_Answer):
    lines: tuple[LogLine, ...]
    truncated: StrictBool


class _ErrorAnswer(_Answer):
    message: StrictStr


A = TypeVar("A", bound=_Answer)


class Runtime:
    """One runtime. Use it as an async context manager: the connections live that long.

    `accepts_environment`: it is the local one, or another that hands an `environment` on to its agents.
    """

    def __init__(
        self,
        url: str,
        secret: SecretStr | None,
        *,
        timeout_seconds: float,
        answer_max_bytes: int,
        accepts_environment: bool = False,
        name: str = DEFAULT_RUNTIME,
    ) -> None:
        self.name = name
        self.accepts_environment = accepts_environment
        self.secret = secret
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._answer_max_bytes = answer_max_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=self._timeout, trust_env=False, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deploy(self, package: Package) -> Accepted | RefusedByRuntime | Unclear:
        told = {"wire_id": package.wire_id}
        with traced("POST /deploy", package.traceparent, kind=SpanKind.CLIENT, **told) as here:
            headers = {"Idempotency-Key": package.wire_id} | self._bearer()
            if here.traceparent is not None:
                headers["traceparent"] = here.traceparent
            answer = await self._call("POST", "/deploy", headers=headers, json=package.body())
        if isinstance(answer, Unclear):
            return answer
        status, body = answer
        if status in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED}:
            accepted = _parsed(_AcceptedAnswer, body)
            if accepted is None:
                return Unclear("the runtime's acceptance has another shape than its contract")
            if accepted.deploymentId != package.wire_id:
                return Unclear("the runtime accepted another deployment than it was given")
            return Accepted()
        return _refusal(self.name, status, body)

    async def health(self, wire_id: str) -> Health | Unknown | Unclear:
        answer = await self._call("GET", f"/deployments/{quote(wire_id, safe='')}/health", headers=self._bearer())
        if isinstance(answer, Unclear):
            return answer
        status, body = answer
        if status == HTTPStatus.NOT_FOUND:
            return Unknown()
        # An unhealthy one may be told with a 503 and the same body.
        if status not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}:
            return Unclear(f"asked for its health, the runtime answered {status}")
        told = _parsed(_HealthAnswer, body)
        if told is None:
            return Unclear(f"the runtime's health ({status}) has another shape than its contract")
        return Health(told.status, told.healthy and told.status == "healthy", told.message)

    async def stop(self, wire_id: str) -> StopTaken | CannotStop | Unclear:
        answer = await self._call("POST", f"/deployments/{quote(wire_id, safe='')}/stop", headers=self._bearer())
        if isinstance(answer, Unclear):
            return answer
        status, _ = answer
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return StopTaken()
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
            return CannotStop()
        return Unclear(f"asked to stop, the runtime answered {status}")

    async def logs(self, wire_id: str, limit_bytes: int) -> Output | NoOutput | Unclear:
        """At most so many bytes of text."""
        path = f"/deployments/{quote(wire_id, safe='')}/logs?limit_bytes={limit_bytes}"
        answer = await self._call("GET", path, headers=self._bearer(), max_bytes=LOGS_MAX_BYTES)
        if isinstance(answer, Unclear):
            return answer
        status, body = answer
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
            return NoOutput()
        told = _parsed(_LogsAnswer, body) if status == HTTPStatus.OK else None
        if told is None:
            return Unclear(f"asked for logs, the runtime answered {status}, or in another shape than the local one's")
        return Output(told.lines, told.truncated)

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret.get_secret_value()}"} if self.secret else {}

    async def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        json: object = None,
        max_bytes: int | None = None,
    ) -> tuple[int, bytes] | Unclear:
        assert self._session is not None, "entered before it is used"
        sent = {"Accept": JSON, "Accept-Encoding": "identity", **headers}
        try:
            async with self._session.request(
                method, self._url + path, headers=sent, json=json, allow_redirects=False
            ) as response:
                body = await _limited(response.content, max_bytes or self._answer_max_bytes)
                return Unclear("the runtime's answer is too long") if body is None else (response.status, body)
        except TimeoutError:
            return Unclear("the runtime did not answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            # Its text may hold an address: the kind says enough.
            return Unclear(f"the runtime could not be asked: {type(fault).__name__}")


async def _limited(content: aiohttp.StreamReader, max_bytes: int) -> bytes | None:
    body = bytearray()
    while chunk := await content.read(max_bytes + 1 - len(body)):
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)


def _parsed(model: type[A], body: bytes) -> A | None:
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def _refusal(name: str, status: int, body: bytes) -> RefusedByRuntime | Unclear:
    told = _parsed(_ErrorAnswer, body)
    said = f": {one_line(told.message)}" if told and told.message else ""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return RefusedByRuntime("The runtime answered with a redirect, which is never followed", retriable=False)
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return RefusedByRuntime(
                f"The runtime refuses our credentials ({status}): see {_setting(name, 'SECRET')}", retriable=False
            )
        case HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return RefusedByRuntime(f"The runtime refuses the deployment ({status}){said}", retriable=False)
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return RefusedByRuntime(
                f"The runtime has no POST /deploy ({status}): see {_setting(name, 'URL')}", retriable=True
            )
        case _:
            return Unclear(f"asked to deploy, the runtime answered {status}")


def _setting(name: str, of_default: str) -> str:
    if name == DEFAULT_RUNTIME:
        return f"RUNTIME_NOTIFIER_RUNTIME_{of_default}"
    return f"{name} in RUNTIME_NOTIFIER_RUNTIMES"


def failure_is_retriable(message: str) -> bool:
    """A package that cannot be loaded stays so; a download, a start or a health check may do better next time."""
    lowered = message.lower()
    return not ("failed to load package" in lowered or "packageurl is required" in lowered)
