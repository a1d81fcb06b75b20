"""Values that tie a package to one machine: absolute paths, localhost, IP addresses ("Network and Path Hygiene")."""

import ipaddress
import re
from collections.abc import Iterator

ABSOLUTE = re.compile(r"/[^/\s].*|[A-Za-z]:[\\/].*|\\\\.+|file:///.+", re.DOTALL)
TEMPORARY = re.compile(
    r"(?:file://)?/tmp(?:/.*)?|/dev/(?:null|stdout|stderr|stdin|tty|u?random|shm(?:/.*)?)", re.DOTALL
)
SOMEBODYS_HOME = re.compile(r"(?:^|[\s=:,;\"'])(?:/(?:Users|home)/\w|[A-Za-z]:\\Users\\\w)")
# `/api/v1` is the path of an address, whatever it begins with; below these it is one of a machine all the same.
OF_AN_ADDRESS = re.compile(
    r".*(?:URL|URI|ROUTE|ENDPOINT|PREFIX|BASE_?PATH|ROOT_PATH|API_PATH|URL_PATH|WEBHOOK_PATH|CALLBACK_PATH|HEALTH\w*|METRICS_PATH)"
)
OF_A_MACHINE = re.compile(
    r"/(?:Users|home|root|var|opt|etc|usr|mnt|media|srv|data|private|Volumes|Applications|Library|app|workspace|run|proc)/.*",
    re.DOTALL,
)
IN_AN_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^\s/@]*@)?(\[[^\]\s]+\]|[^/:\s?#,;]+)")
ALONE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:]+[0-9A-Fa-f.]*|[^:/\s]+)(?::\d{1,5})?(?:/[^\d].*)?")
NOT_REACHED = re.compile(r".*(?:ALLOWED|CORS|TRUSTED|NO_PROXY|ORIGIN|VERSION|MASK|SUBNET|CIDR).*")


def is_absolute_path(value: str, name: str = "") -> bool:
    """A path that is there on one machine only. `/tmp` is everywhere, and so are the usual devices."""
    stripped = value.strip()
    if TEMPORARY.fullmatch(stripped):
        return False
    if SOMEBODYS_HOME.search(stripped):
        return True
    if OF_AN_ADDRESS.fullmatch(name.upper()) and not stripped.startswith("file:"):
        return bool(OF_A_MACHINE.fullmatch(stripped))
    return bool(ABSOLUTE.fullmatch(stripped))


def address_rule(name: str, value: str) -> str | None:
    """`localhost` or `IP address`, if one is reached or listened at; 0.0.0.0 is what the specification asks for."""
    if NOT_REACHED.fullmatch(name.upper()):
        return None
    kinds = {kind for host in _hosts(value.strip()) if (kind := _kind(host))}
    return "localhost" if "localhost" in kinds else next(iter(kinds), None)


def _hosts(value: str) -> Iterator[str]:
    if "://" in value:
        yield from (found[1] for found in IN_AN_ADDRESS.finditer(value))
        return
    for part in re.split(r"[,;\s]+", value):
        if found := ALONE.fullmatch(part):
            yield found[1]


def _kind(host: str) -> str | None:
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.is_loopback:
        return "localhost"
    return None if address.is_unspecified else "IP address"
