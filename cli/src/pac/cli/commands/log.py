"""`pac log show|verify|replay|rebase`: what a service has recorded, whether it is sound, and how it is mended."""

import asyncio
import os
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pac.cli.databases import AnyService, OneService, Service, ServiceDatabase, databases
from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, StateDir, expected, say, say_json, say_table
from pac.cli.progress import ProgressLine

if TYPE_CHECKING:
    from pac.eventlog.rebuild import Progress
    from pac.eventlog.soundness import Soundness
    from pac.servicekit.settings import KafkaSettings

log = typer.Typer(no_args_is_help=True, help="The event logs of the services.")

# As they stand in the table: also an event that nobody can read any more is shown.
HISTORY = """
SELECT version, type, at, position, data, metadata, encode(hash, 'hex') FROM log.events WHERE stream = %s
ORDER BY version
"""
IS_RUNNING = "SELECT 1 FROM log.leases WHERE name = 'relay' AND expires_at > clock_timestamp()"


@log.command("show")
@expected
def show(
    stream: Annotated[str, typer.Argument(help="For example deployment-<id>.")],
    *,
    service: AnyService = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """The history of a stream, oldest first."""
    found = [event for one in databases(state_dir, service) for event in asyncio.run(_history(one, stream))]
    if not found:
        raise Expected(f"no stream {stream}", "its service has recorded nothing there", "pac log show STREAM")
    if output is Format.JSON:
        say_json({"stream": stream, "events": found})
        return
    columns = ("service", "version", "type", "at", "actor", "data")
    say_table(columns, [[_cell(event[name]) for name in columns] for event in found])


async def _history(database: ServiceDatabase, stream: str) -> list[dict[str, Any]]:
    from pac.contracts.base import iso  # noqa: PLC0415 (slow to import)
    from pac.eventlog.engine import driver_of  # noqa: PLC0415

    async with database.opened() as opened, opened.reading() as connection:
        rows = await (await (await driver_of(connection)).execute(HISTORY, (stream,))).fetchall()
    return [
        {
            "service": database.service.value,
            "version": version,
            "type": type_,
            "at": iso(at),
            "position": position,
            **{name: metadata.get(name) for name in ("id", "actor", "correlation_id", "causation_id", "data_version")},
            "data": data,
            "hash": digest,
        }
        for version, type_, at, position, data, metadata, digest in rows
    ]


def _cell(value: Any) -> str:
    """Of the data only what the other columns do not say."""
    if not isinstance(value, dict):
        return str(value)
    shown = {name: one for name, one in value.items() if name not in {"type", "at", "account_id"} and one is not None}
    return " ".join(f"{name}={one}" for name, one in shown.items())


@log.command("verify")
@expected
def verify(*, service: AnyService = None, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """Is everything known what the logs say? Versions, hash chains, folds, read models, balances. Exit 1 if not."""
    found = [asyncio.run(_soundness(one)) for one in databases(state_dir, service)]
    is_sound = not any(one.faults for one in found)
    if output is Format.JSON:
        say_json({"sound": is_sound, "services": [{**asdict(one), "service": one.service.value} for one in found]})
    else:
        for one in found:
            verdict = f"{len(one.faults)} faults" if one.faults else "sound"
            say(f"{one.service.value}: {one.events} events in {one.streams} streams, {verdict}")
            for fault in one.faults:
                say(f"  {fault}")
    if not is_sound:
        raise typer.Exit(1)


async def _soundness(database: ServiceDatabase) -> "Soundness":
    from pac.eventlog.rebuild import RebuildBusy  # noqa: PLC0415 (slow to import)
    from pac.eventlog.soundness import soundness_of  # noqa: PLC0415

    line = ProgressLine(f"{database.service} read models")

    def told(progress: "Progress") -> None:
        line.tell(progress.done, progress.total, progress.stage)

    try:
        async with database.opened() as opened:
            return await soundness_of(opened, database.derived(), told)
    except RebuildBusy as busy:
        raise Expected(f"{database.service} cannot be verified now", str(busy), "pac projections list") from busy
    finally:
        line.end()


@log.command("replay")
@expected
def replay(
    *,
    service: OneService,
    from_position: Annotated[
        int, typer.Option("--from", min=0, help="Position to begin at; consumers must know what comes before it.")
    ] = 0,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Say to Kafka again what the log holds: for topics that were lost, and for a new consumer.

    Consumers drop what they know. After Kafka has lost its data: `pac topics apply`, restart the services (their
    places in the old topics mean nothing in the new ones), then replay every service.
    """
    [database] = databases(state_dir, service)
    count = asyncio.run(_replay(database, from_position, _kafka(state_dir)))
    if output is Format.JSON:
        say_json({"service": service.value, "topic": f"{service}.events", "published": count})
    else:
        say(f"said {count} events to {service}.events")


async def _replay(database: ServiceDatabase, from_position: int, kafka: "KafkaSettings") -> int:
    from pac.contracts.topics import ServiceName  # noqa: PLC0415 (slow to import)
    from pac.eventlog.replay import KafkaAway  # noqa: PLC0415
    from pac.eventlog.replay import replay as run  # noqa: PLC0415
    from pac.servicekit.broker import BrokerAway, existing_topics, kafka_producer  # noqa: PLC0415

    topic = ServiceName(database.service.value).topic
    line = ProgressLine(topic)
    try:
        if topic not in await existing_topics(kafka):
            raise Expected(f"there is no topic {topic}", "the broker does not know it", "pac topics apply")
        async with database.opened() as opened:
            return await run(opened, topic, lambda: kafka_producer(kafka), from_position=from_position, told=line.tell)
    except (BrokerAway, KafkaAway) as away:
        raise Expected("not everything was said", str(away), "pac log replay once more: it does no harm") from away
    finally:
        line.end()


def _kafka(state_dir: Any) -> "KafkaSettings":
    from pac.cli.context import state_dir_of, status_of  # noqa: PLC0415
    from pac.servicekit.settings import KafkaSettings  # noqa: PLC0415 (slow to import)

    if os.environ.get("KAFKA_SERVERS"):
        return KafkaSettings()
    servers = str(status_of(state_dir_of(state_dir))["kafka_servers"])
    return KafkaSettings(kafka_servers=servers, kafka_security_protocol="PLAINTEXT")


@log.command("rebase")
@expected
def rebase(service: Annotated[Service, typer.Argument(help="Whose log.")], *, state_dir: StateDir = None) -> None:
    """Mend a log that was restored from a dump into another cluster. The service must not run."""
    from psycopg import Error, connect  # noqa: PLC0415 (slow to import)
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415

    from pac.eventlog.rebase import rebase as run  # noqa: PLC0415

    [database] = databases(state_dir, service)
    asyncio.run(database.look())
    options = str(conninfo_to_dict(database.url).get("options") or "")
    untimed = f"{options} -c transaction_timeout=0 -c statement_timeout=0"
    try:
        with closing(connect(database.url)) as connection:
            if connection.execute(IS_RUNNING).fetchone():
                raise Expected(f"the log of {service} is in use", "its relay runs, or ran until now", f"stop {service}")
        run(make_conninfo(database.url, options=untimed))
    except Error as fault:
        raise database.unreachable(str(fault)) from fault
    say(f"rebased the log of {service}; start the service again")
