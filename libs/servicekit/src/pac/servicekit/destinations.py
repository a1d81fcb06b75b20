"""Where a URL that somebody else wrote may lead: into the internet, or to networks that the operator allows. Pure.

Names are judged by what they resolve to, at every connection: see `outgoing.py`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_MAX_CHARACTERS: Final = 2048
PORTS: Final = frozenset({443, 8443})
# IANA's special-purpose addresses (RFC 6890 and what was added to its registry), multicast and class E, and the one
# address out of the ordinary ranges at which a cloud serves its own machines (168.63.129.16).
NOT_PUBLIC: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Of IPv6 only global unicast is public, without what carries an IPv4 address inside (Teredo, 6to4), and documentation.
PUBLIC_V6: Final = IPv6Network("2000::/3")
NOT_PUBLIC_V6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
NAT64: Final = IPv6Network("64:ff9b::/96")
_UNCLEAN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")  # what some resolvers read as an IPv4 address


class NotAllowed(ValueError):  # noqa: N818 - says why the URL is not taken, in words for whoever wrote it
    """The message quotes nothing of the URL."""


@dataclass(frozen=True)
class Destination:
    """A URL that was looked at. `is_near`: only an allowed network may serve it (plain HTTP, an unusual port)."""

    url: URL
    is_near: bool


@dataclass(frozen=True)
class Rules:
    """`allowed_networks` may be reached although they are not public, and by plain HTTP and any port."""

    allowed_networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS

    def permits(self, address: Address, *, is_near: bool) -> bool:
        real = unwrapped(address)
        if any(real in network for network in self.allowed_networks if network.version == real.version):
            return True
        return not is_near and is_public(real)

    def destination(self, text: str) -> Destination:
        """Raises NotAllowed."""
        url = _parsed(text)
        port, host = url.port or 0, url.raw_host or ""
        is_near = url.scheme != "https" or port not in self.ports
        if is_near and not self.allowed_networks:
            raise NotAllowed(_must(url.scheme, self.ports))
        address = _address(host)
        if address is not None and not self.permits(address, is_near=is_near):
            raise NotAllowed("Leads to an address that is not public")
        return Destination(url, is_near)


def networks_in(text: str) -> tuple[Network, ...]:
    """`127.0.0.0/8, ::1/128` → networks. ValueError for anything else."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def unwrapped(address: Address) -> Address:
    """The IPv4 address that a v4-mapped one is, or that a NAT64 one leads to."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in NAT64 else address


def is_public(address: Address) -> bool:
    real = unwrapped(address)
    if isinstance(real, IPv4Address):
        return not any(real in network for network in NOT_PUBLIC)
    return real in PUBLIC_V6 and not any(real in network for network in NOT_PUBLIC_V6)


def _parsed(text: str) -> URL:
    """The URL as it will be asked for: ASCII, lower case, without a fragment; its host a name or a plain address."""
    if not 0 < len(text) <= URL_MAX_CHARACTERS or _UNCLEAN.search(text):
        raise NotAllowed(f"Must be a URL of at most {URL_MAX_CHARACTERS} characters without spaces")
    url = _read(text)
    if url.scheme not in {"https", "http"} or not url.raw_host:
        raise NotAllowed("Must be an absolute URL that begins with https://")
    if url.user is not None or url.password is not None:
        raise NotAllowed("Must hold no user and no password")
    if _address(url.raw_host) is None and (_NUMBER.fullmatch(url.raw_host) or not _NAME.fullmatch(url.raw_host)):
        raise NotAllowed("Its host must be a name, or an address in its usual form")
    return url


def _read(text: str) -> URL:
    try:
        url = URL(text).with_fragment(None)
        host = (url.raw_host or "").removesuffix(".")
        return url.with_host(host) if host else url
    except ValueError:  # UnicodeError among them: a name that IDNA does not take
        raise NotAllowed("Must be a well-formed URL") from None


def _address(host: str) -> Address | None:
    """Of `127.0.0.1` and `::1`; none of `0x7f.1`, nor of an address with a zone."""
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def _must(scheme: str, ports: Iterable[int]) -> str:
    if scheme != "https":
        return "Must begin with https://"
    return f"Its port must be one of {', '.join(map(str, sorted(ports)))}"
