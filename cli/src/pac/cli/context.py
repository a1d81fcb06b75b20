"""Which stack a command talks to: options first, then the environment, then the state folder of `pac up`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pac.cli.local.errors import Expected

CHECKOUT = Path(__file__).resolve().parents[4]


def state_dir_of(chosen: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """`--state-dir`, PAC_STATE_DIR, or `.pac` in the checkout (without one: in the working folder)."""
    if chosen is not None:
        return chosen.absolute()
    if named := environment.get("PAC_STATE_DIR"):
        return Path(named).expanduser().absolute()
    work_tree = CHECKOUT if (CHECKOUT / "deploy" / "topics.toml").is_file() else Path.cwd()
    return work_tree / ".pac"


def status_of(state_dir: Path) -> dict[str, Any]:
    """What `pac up` wrote about itself. Raises Expected when it does not run."""
    from pac.cli.local.pac import STATUS_FILE  # noqa: PLC0415 (slow to import)
    from pac.cli.local.running import Running  # noqa: PLC0415

    running = Running.at(state_dir)
    if running is None or not running.is_running():
        raise Expected("PAC is not running", f"nothing supervises {state_dir}", "pac up")
    return running.state.read(STATUS_FILE)


@dataclass(frozen=True)
class Target:
    """A gateway and who we are there."""

    url: str
    account_id: str
    app_id: str
    api_key: str = field(repr=False)
    admin_key: str = field(repr=False)

    def needs(self, name: str) -> str:
        """A value that the command cannot do without."""
        value = str(getattr(self, name))
        if not value:
            variable = NAMES[name]
            raise Expected(f"{variable} is not set", f"{self.url} is not the stack of `pac up`", f"export {variable}=…")
        return value


NAMES = {
    "account_id": "PAC_ACCOUNT_ID",
    "app_id": "PAC_APP_ID",
    "api_key": "PAC_API_KEY",
    "admin_key": "PAC_ADMIN_KEY",
}


def target_of(state_dir: Path | None, environment: Mapping[str, str] = os.environ) -> Target:
    """PAC_GATEWAY_URL names another gateway than the local one; then nothing is taken from the state folder."""
    url = environment.get("PAC_GATEWAY_URL")
    local = {} if url else status_of(state_dir_of(state_dir, environment))
    found = {name: environment.get(variable) or str(local.get(name) or "") for name, variable in NAMES.items()}
    return Target(url=(url or str(local.get("gateway_url") or "")).rstrip("/"), **found)
