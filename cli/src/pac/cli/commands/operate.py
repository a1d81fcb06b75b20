"""`pac migrate`, `pac topics apply`: for any installation, not only that of `pac up`."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from pac.cli.context import state_dir_of, status_of
from pac.cli.databases import local_urls
from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, StateDir, expected, say, say_json

topics = typer.Typer(no_args_is_help=True, help="Topics of the broker.")


@expected
def migrate(*, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """Bring the schema of each database of <SERVICE>_DATABASE_URL[_FILE] (else: the local stack's) to the newest."""
    from pac.cli.local.migrations import migrate as run  # noqa: PLC0415 (slow to import)
    from pac.cli.local.migrations import urls_from  # noqa: PLC0415

    urls = urls_from(os.environ) or local_urls(state_dir)
    done = run(urls)
    if output is Format.JSON:
        say_json({"migrated": done})
    else:
        say(f"up to date: {', '.join(done)}")


@topics.command("apply")
@expected
def apply(
    *,
    file: Annotated[Path | None, typer.Option("--file", help="What should be there (deploy/topics.toml).")] = None,
    replication: Annotated[int, typer.Option("--replication", min=1, help="Copies of each partition.")] = 1,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Make the topics that are missing on KAFKA_SERVERS (else: on the local broker)."""
    from pac.cli.local.topics import apply_topics, read_topics, security, topics_file  # noqa: PLC0415

    wanted = read_topics(topics_file(file))
    servers = os.environ.get("KAFKA_SERVERS")
    options = security(os.environ) if servers else {}
    servers = servers or str(status_of(state_dir_of(state_dir))["kafka_servers"])
    outcome = asyncio.run(apply_topics(servers, wanted, replication=replication, options=options))
    if output is Format.JSON:
        say_json({"created": outcome.created, "existing": outcome.existing, "different": outcome.different})
    else:
        say(f"created {len(outcome.created)}, found {len(outcome.existing)}")
    if outcome.different:
        raise Expected(
            "topics are not as the file says",
            "; ".join(outcome.different),
            "change the file; more partitions would move events of one deployment to other places",
        )
