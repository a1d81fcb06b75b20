"""Which headers cross the gateway, in either direction."""

from collections.abc import Mapping

from aiohttp import hdrs
from multidict import CIMultiDict

from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Credentials end here; what speaks of the way to us is the client's word; Host and Expect are said anew.
_NOT_TO_SERVICES = frozenset({"authorization", "cookie", "expect", "forwarded", "host", "x-real-ip"})
_OF_A_QUESTION = (hdrs.ACCEPT, hdrs.IF_NONE_MATCH, "traceparent")
_NOT_TO_CLIENTS = frozenset({"content-length", "server"})  # the first is set on the answer itself
_OURS = ("pac-", "x-forwarded-", REQUEST_ID_HEADER.lower())


def to_service(
    headers: Mapping[str, str], *, identity: str, request_id: str, traceparent: str | None = None
) -> CIMultiDict[str]:
    sent = _crossing(headers, _NOT_TO_SERVICES)
    if traceparent is not None:
        sent["traceparent"] = traceparent
    sent[IDENTITY_HEADER] = identity
    sent[REQUEST_ID_HEADER] = request_id
    return sent


def to_service_for_itself(
    headers: Mapping[str, str], *, identity: str, request_id: str, traceparent: str | None = None
) -> CIMultiDict[str]:
    """Of a question that the gateway asks in the client's place: without a body, so nothing that speaks of one."""
    kept = {name: headers[name] for name in _OF_A_QUESTION if name in headers}
    return to_service(kept, identity=identity, request_id=request_id, traceparent=traceparent)


def to_client(headers: Mapping[str, str], *, request_id: str) -> CIMultiDict[str]:
    sent = _crossing(headers, _NOT_TO_CLIENTS)
    sent[REQUEST_ID_HEADER] = request_id
    return sent


def _crossing(headers: Mapping[str, str], refused: frozenset[str]) -> CIMultiDict[str]:
    named = {
        token.strip().lower()
        for name, value in headers.items()
        if name.lower() == hdrs.CONNECTION.lower()
        for token in value.split(",")
    }
    stay = HOP_BY_HOP | named | refused
    kept = [
        (name, value)
        for name, value in headers.items()
        if name.lower() not in stay and not name.lower().startswith(_OURS)
    ]
    return CIMultiDict(kept)
