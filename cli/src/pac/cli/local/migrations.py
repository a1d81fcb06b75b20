"""Schemas: the one place that knows which service's migrations go into which database."""

import contextlib
import os
from collections.abc import Mapping

from pac.cli.local.environment import SERVICES, Own, database_of, variable
from pac.cli.local.errors import Expected


def migrate(urls: Mapping[str, str]) -> list[str]:
    """Brings each service's database to its newest schema, one after the other; blocks. Returns the services done."""
    from pac.eventlog.migrate import upgrade  # noqa: PLC0415 (slow to import)

    for service, url in urls.items():
        try:
            upgrade(url, f"pac.{database_of(service)}")
        except Exception as error:
            if isinstance(error, ImportError):
                raise
            raise Expected(
                f"the database of {service} could not be migrated",
                without_password(str(error), url),
                f"mend the database that {variable(service, 'DATABASE_URL')} names, then: pac migrate",
            ) from error
    return list(urls)


def urls_from(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The databases that the environment names, as services read it: also by `<SERVICE>_DATABASE_URL_FILE`."""
    own = Own(environment)
    names = {service: own.get(variable(service, "DATABASE_URL")) for service in SERVICES}
    return {service: url for service, url in names.items() if url}


def without_password(text: str, url: str) -> str:
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415

    password = ""
    with contextlib.suppress(ValueError):
        password = unquote(urlsplit(url).password or "")
    first = next((line for line in text.splitlines() if line.strip()), "no reason given")
    return first.replace(password, "***") if password else first
