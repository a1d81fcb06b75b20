"""`pac dev`: run an agent from its folder while it is being written."""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pac.cli.output import expected

DEFAULT_PORT = 4080


class Provider(StrEnum):
    NONE = "none"
    STATIC = "static"
    ENV = "env"
    AWS = "aws"


@expected
def dev(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Where agent.yaml, .env and src are.")
    ],
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On 127.0.0.1; 0 takes any.")] = DEFAULT_PORT,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="FILE|KEY=VALUE", help="The layer of the deployment request; may be repeated."),
    ] = None,
    provider: Annotated[
        Provider | None, typer.Option("--provider", help="Where secrets come from [PIXELL_SECRETS_PROVIDER].")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show every variable, those of base alone too.")] = False,
) -> None:
    """Run an agent from its folder as the local runtime would, and load it anew when it changes."""
    from pac.cli.dev.develop import Options, develop  # noqa: PLC0415 (slow to import)
    from pac.cli.dev.given import Given  # noqa: PLC0415

    asyncio.run(develop(Options(folder, port, Given.of(env or ()), provider, explain), os.environ))
