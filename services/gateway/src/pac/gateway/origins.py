"""Whether a request that brings a cookie was made by our own page, or by a foreign one in the user's name (CSRF).

A browser says so in `Sec-Fetch-Site` and `Origin`, which no page can forge; curl sends neither and has no cookies of
somebody else.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from pac.contracts.errors import ErrorCode, Refused

SEC_FETCH_SITE = "Sec-Fetch-Site"
_OWN_SITES = frozenset({"same-origin", "none"})  # `none`: the user's own doing, such as the address bar
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origins:
    """`trusted` are origins of pages that may write with their user's cookie, beside the one the request is sent to."""

    trusted: frozenset[str] = frozenset()

    def check(self, request: web.Request) -> None:
        """Refused as of a foreign origin if one of the two headers is there and says so."""
        origin, site = request.headers.get(hdrs.ORIGIN), request.headers.get(SEC_FETCH_SITE)
        if origin is not None and normal(origin) in self.trusted:
            return
        is_own = origin is None or _is_host(origin, request.headers.get(hdrs.HOST, ""))
        if not is_own or (site is not None and site.strip().lower() not in _OWN_SITES):
            raise Refused(ErrorCode.FOREIGN_ORIGIN)


def normal(origin: str) -> str | None:
    """`scheme://host:port`, or None for what is no origin (`null` is none)."""
    try:
        parts = urlsplit(origin.strip())
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _is_host(origin: str, host: str) -> bool:
    """Which scheme the client used is not known behind a proxy: the host decides."""
    scheme = urlsplit(origin.strip()).scheme if normal(origin) is not None else ""
    return bool(scheme) and normal(origin) == normal(f"{scheme}://{host}")
