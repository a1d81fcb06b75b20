"""docs/reference/settings.md: every variable that a process reads, from its settings class.

`python -m pac.testkit.settings_reference [--check] PATH`; what a line's comment says is what the page says.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from pac.agentkit.runtime.settings import Settings as Runtime
from pac.billing.settings import Settings as Billing
from pac.deployments.settings import Settings as Deployments
from pac.gateway.settings import Settings as Gateway
from pac.packages.settings import Settings as Packages
from pac.runtime_notifier.settings import Settings as RuntimeNotifier
from pac.servicekit.settings import ServiceSettings, is_secret_field, variables_of
from pac.testkit.pages import main

SERVICES: dict[str, type[BaseSettings]] = {
    "gateway": Gateway,
    "packages": Packages,
    "deployments": Deployments,
    "billing": Billing,
    "runtime-notifier": RuntimeNotifier,
    "the local runtime": Runtime,
}
BOUNDS = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))
HEAD = """\
# Settings

Generated from the settings classes by `make generate`; not to be edited.

Read once from the environment when a process starts. A process ends with code 2, and a line for each fault, if a
variable is missing, out of its bounds, or begins with the service's prefix and is none of its settings. Of the services
every **secret** may also be given by a file that `<VARIABLE>_FILE` names. The unit is the last word of a name.

## All services

`SERVICE` stands for `GATEWAY`, `PACKAGES`, `DEPLOYMENTS`, `BILLING` or `RUNTIME_NOTIFIER`.

"""
COLUMNS = "| variable | default | bounds | what it is |\n|---|---|---|---|\n"
_COMMENT = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)


def page() -> str:
    shared = dict(ServiceSettings.model_fields)
    parts = [HEAD + COLUMNS + "\n".join(_rows(ServiceSettings, shared, prefix="SERVICE_"))]
    for name, settings in SERVICES.items():
        own = {
            field: info for field, info in settings.model_fields.items() if field in vars(settings)["__annotations__"]
        }
        parts.append(f"## {name.capitalize()}\n\n" + COLUMNS + "\n".join(_rows(settings, own)))
    return "\n\n".join(parts) + "\n"


def _rows(settings: type[BaseSettings], fields: dict[str, FieldInfo], prefix: str = "") -> Iterator[str]:
    variables, comments = variables_of(settings), _comments(settings)
    for field, info in fields.items():
        is_named = info.validation_alias is not None
        variable = variables[field] if is_named or not prefix else f"{prefix}{field}".upper()
        said = [*(["**secret**"] if is_secret_field(info) else []), *([comments[field]] if field in comments else [])]
        yield f"| `{variable}` | {_default(info)} | {_bounds(info)} | {'; '.join(said)} |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value: Any = info.default
    if value in (None, "", ()) or is_secret_field(info):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Path):
        return "the system's folder for temporary files"
    return f"`{','.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"


def _bounds(info: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(one, name)}" for one in info.metadata for kind, name, sign in BOUNDS if isinstance(one, kind)
    ]
    return ", ".join(limits)


def _comments(settings: type[BaseSettings]) -> dict[str, str]:
    """Field → the comment on its line, of this class or of those it inherits from."""
    sources = (inspect.getsource(one) for one in reversed(settings.__mro__) if one.__module__.startswith("pac."))
    return {name: comment.replace("|", "\\|") for source in sources for name, comment in _COMMENT.findall(source)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
