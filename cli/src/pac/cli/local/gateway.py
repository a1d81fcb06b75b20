"""A small client of the gateway's API. Every refusal becomes advice: what, why, and the next command."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pac.cli.local.errors import Expected

if TYPE_CHECKING:
    import aiohttp

Json = dict[str, Any]
TIMEOUT_SECONDS = 70.0


class Denied(Expected):
    """The gateway answered, and not with success."""

    def __init__(self, what: str, status: int, body: Json) -> None:
        self.status, self.body = status, body
        super().__init__(what, _reason(status, body), _help(status))


def _reason(status: int, body: Json) -> str:
    said = str(body.get("error") or HTTPStatus(status).phrase)
    details = [str(detail) for detail in body.get("details") or ()]
    parts = [said, *details]
    if "required" in body and "available" in body:
        parts.append(f"required {body['required']}, available {body['available']}")
    request = f" (request {body['request_id']})" if "request_id" in body else ""
    return f"{status}: {'; '.join(parts)}{request}"


def _help(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return "pac status -o json shows the key of the local stack; or set PAC_API_KEY"
        case HTTPStatus.PAYMENT_REQUIRED:
            return "pac credits grant AMOUNT"
        case HTTPStatus.FORBIDDEN:
            return "pac keys create NAME --scope ... with the missing scope"
        case HTTPStatus.NOT_FOUND:
            return "check the id; pac status shows the local account and app"
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "pac status, and the logs in the state folder"
        case _:
            return "mend what is named, and repeat the command"


@dataclass
class Gateway:
    """`async with Gateway(url, key) as gateway: await gateway.call("GET", "/api/credits")`."""

    url: str
    key: str = field(repr=False)
    _session: "aiohttp.ClientSession | None" = None

    async def __aenter__(self) -> Self:
        import aiohttp  # noqa: PLC0415 (slow to import)

        headers = {"Authorization": f"Bearer {self.key}"}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, path: str, *, what: str = "", body: Json | None = None, **options: Any) -> Json:
        """The JSON of a 2xx. Raises Denied for another status, Expected when nobody answers."""
        import aiohttp  # noqa: PLC0415

        assert self._session is not None
        what = what or f"{method} {path} was refused"
        try:
            async with self._session.request(method, self.url + path, json=body, **options) as response:
                text = await response.text()
                answer = _parsed(text)
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise Denied(what, response.status, answer)
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Expected("the gateway does not answer", f"{self.url}: {reason}", "pac status, or: pac up") from None


def _parsed(text: str) -> Json:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
