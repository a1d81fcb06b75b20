"""Puts `pac dev` together: a fleet of one agent, the server in front of it, and the session that loads it."""

import hashlib
import logging
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import SecretStr, ValidationError

from pac.agentkit.environment import BASE_NAMES, allowed
from pac.agentkit.providers import PROVIDER, BrokenProvider, SecretsProvider, provider_from
from pac.agentkit.runtime.app import open_fleet
from pac.agentkit.runtime.isolation import NoPython
from pac.agentkit.runtime.places import AlreadyRunning
from pac.agentkit.runtime.settings import Settings
from pac.cli.cache import cache_folder
from pac.cli.dev.given import Given
from pac.cli.dev.packing import Shelf
from pac.cli.dev.serving import build_app, served
from pac.cli.dev.session import ID, Session
from pac.cli.dev.shown import View
from pac.cli.local.errors import Expected
from pac.cli.stopping import Asked

# Of our own environment agents inherit all but what is ours, the shell's, or says which Python we run on.
KEPT_BACK = (
    "PAC_*",
    "PIXELL_*",
    "LOCAL_RUNTIME_*",
    "PYTHON*",
    "VIRTUAL_ENV*",
    "UV",
    "UV_*",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
)


@dataclass(frozen=True)
class Options:
    folder: Path
    port: int
    given: Given
    provider: str | None
    explain_all: bool


async def develop(options: Options, environ: Mapping[str, str]) -> None:
    """Until Ctrl-C. Expected for all that a user can mend before there is anything to serve."""
    _hush()
    asked = Asked.by_signals()
    folder = options.folder.resolve()
    if not (folder / "agent.yaml").is_file():
        raise Expected(f"{folder} is no agent's folder", "there is no agent.yaml in it", "pixell init NAME")
    settings = _settings(_state_dir(folder, environ))
    base = {name: value for name, value in environ.items() if name not in allowed(environ, KEPT_BACK)}
    provider = _provider(options.provider, environ, base, settings)
    shelf = Shelf(settings.state_dir / "downloads")
    view = View(folder, settings.state_dir / "agents", provider.name, options.explain_all)
    try:
        async with open_fleet(
            settings, environ, source=shelf, provider=provider, base=base, listen=view.agent
        ) as fleet:
            session = Session(folder, fleet, shelf, options.given, view)
            try:
                async with served(build_app(fleet, session.find), options.port) as url:
                    view.address(f"{url}/deployments/{ID}/invoke")
                    await session.run(asked)
            finally:
                fleet.places.empty()
                fleet.venvs.forget_unused()
    except AlreadyRunning:
        raise Expected(
            f"{folder} is run by another `pac dev`", "one at a time loads a folder", "end that one"
        ) from None
    except NoPython as fault:
        raise Expected("no agent can be started here", str(fault), "pac doctor") from None


def _settings(state_dir: Path) -> Settings:
    """LOCAL_RUNTIME_* tune it as they tune the local runtime. Agents are our own user: it is their developer."""
    secret = SecretStr(secrets.token_urlsafe())  # nobody is asked for it: see serving.py
    try:
        return Settings(state_dir=state_dir, secret=secret, secret_file=None, agent_first_uid=0, remembered=5, port=0)
    except ValidationError as fault:
        (error, *_) = fault.errors(include_input=False, include_url=False)
        name = "LOCAL_RUNTIME_" + "_".join(str(part) for part in error["loc"]).upper()
        raise Expected(f"{name} cannot be used", error["msg"], f"unset {name}") from None


def _provider(
    chosen: str | None, environ: Mapping[str, str], base: Mapping[str, str], settings: Settings
) -> SecretsProvider:
    offered = {name: value for name, value in base.items() if name not in BASE_NAMES}
    asked_of = {**environ, **({PROVIDER: chosen} if chosen else {})}
    provider = provider_from(asked_of, offered, settings.provider_timeout_seconds)
    if isinstance(provider, BrokenProvider):
        what = f"the secrets provider {provider.name} cannot be used"
        raise Expected(what, provider.why, f"{provider.then} Or: pac dev DIR --provider none")
    return provider


def _state_dir(folder: Path, environ: Mapping[str, str]) -> Path:
    """One for each folder. What stays in it are virtual environments, so that the next start is quick."""
    path = cache_folder(environ) / "dev" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise Expected(f"{path} cannot be made", str(fault.strerror), "PAC_CACHE_DIR=FOLDER pac dev DIR") from None
    return path


def _hush() -> None:
    """The fleet's log would say again what the view says; only what nobody expected is left."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
