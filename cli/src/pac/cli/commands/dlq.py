"""`pac dlq list|show|replay|drop`: messages that a service has set aside, and what becomes of them."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pac.cli.databases import AnyService, Service, ServiceDatabase, databases
from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, StateDir, expected, say, say_json, say_table

if TYPE_CHECKING:
    from pac.eventlog.letters import Letter, Letters

dlq = typer.Typer(no_args_is_help=True, help="Messages that a service has set aside.")
MessageIds = Annotated[list[str] | None, typer.Argument(metavar="MESSAGE...", help="As `pac dlq list` names them.")]
COLUMNS = ("id", "state", "stream", "version", "type", "reason", "attempts", "parked_at")


@dlq.command("list")
@expected
def list_(*, service: AnyService = None, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """What is set aside: dead, failing, too early, or behind another message of the same key."""
    found = [row for one in databases(state_dir, service) for row in asyncio.run(_rows(one))]
    if output is Format.JSON:
        say_json({"messages": found})
    else:
        say_table(COLUMNS, [[row[name] for name in COLUMNS] for row in found])


@dlq.command("show")
@expected
def show(
    message: Annotated[str, typer.Argument(help="As `pac dlq list` names it.")],
    *,
    service: AnyService = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """A message with what it says, as far as it is an event. Never its raw bytes: nobody knows what is in them."""
    [(database, ids)] = _chosen([message], service, state_dir).items()
    shown = asyncio.run(_shown(database, ids[0]))
    if output is Format.JSON:
        say_json(shown)
        return
    for name, value in shown.items():
        lines = value.items() if isinstance(value, dict) else None
        say(f"{name}:" if lines else f"{name}: {'' if value is None else value}")
        for inner, one in lines or ():
            say(f"  {inner}: {one}")


@dlq.command("replay")
@expected
def replay(
    messages: MessageIds = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    service: AnyService = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Have the running service try them again, with all attempts before them."""
    if all_ == bool(messages):
        raise typer.BadParameter("name messages, or give --all")
    chosen = (
        {one: asyncio.run(_dead(one)) for one in databases(state_dir, service)}
        if all_
        else _chosen(messages or [], service, state_dir)
    )

    async def again(letters: "Letters", letter: "Letter") -> str:
        await letters.replay(letter)
        return "replayed"

    _report(chosen, again, output)


@dlq.command("drop")
@expected
def drop(
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE...", help="As `pac dlq list` names them.")],
    *,
    service: AnyService = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Give messages up for good. What lies behind them goes on."""

    async def gone(letters: "Letters", letter: "Letter") -> str:
        from pac.eventlog.letters import CannotBeDropped  # noqa: PLC0415 (slow to import)

        try:
            is_placed = await letters.drop(letter)
        except CannotBeDropped as gap:
            next_command = f"pac log replay --service {letter.source}"
            raise Expected(f"{_name(letters, letter)} was not dropped", str(gap), next_command) from gap
        return "dropped" if is_placed else "taken away, no stream is known to it"

    _report(_chosen(messages, service, state_dir), gone, output)


# ---- which -----------------------------------------------------------------------------------------------------------

Chosen = dict[ServiceDatabase, list[int]]


def _chosen(messages: Iterable[str], service: Service | None, state_dir: Any) -> Chosen:
    """`billing/12`, or `12` with --service."""
    wanted: dict[Service, list[int]] = defaultdict(list)
    for message in messages:
        owner, _, number = message.rpartition("/")
        owner = owner or (service.value if service else "")
        if owner not in set(Service) or not number.isdecimal() or (service is not None and owner != service.value):
            raise typer.BadParameter(f"{message} is no message: they are called service/number, see `pac dlq list`")
        wanted[Service(owner)].append(int(number))
    return {one: wanted[one.service] for one in databases(state_dir, *wanted)}


async def _dead(database: ServiceDatabase) -> list[int]:
    from pac.eventlog.letters import Letters, State  # noqa: PLC0415 (slow to import)

    async with database.opened() as opened:
        return [one.parked.id for one in await Letters(opened).list() if one.state is State.DEAD]


def _name(letters: "Letters", letter: "Letter") -> str:
    return f"{letters.consumer}/{letter.parked.id}"


def _report(chosen: Chosen, act: "Callable[[Letters, Letter], Awaitable[str]]", output: Format) -> None:
    done = [row for database, ids in chosen.items() for row in asyncio.run(_each(database, ids, act))]
    if output is Format.JSON:
        say_json({"messages": [{"id": name, "result": result} for name, result in done]})
        return
    for name, result in done:
        say(f"{name}: {result}")


async def _each(
    database: ServiceDatabase, ids: list[int], act: "Callable[[Letters, Letter], Awaitable[str]]"
) -> list[tuple[str, str]]:
    from pac.eventlog.letters import Letters  # noqa: PLC0415 (slow to import)

    if not ids:
        return []
    async with database.opened() as opened:
        letters = Letters(opened)
        found = await _all_of(database, letters, ids)
        return [(_name(letters, letter), await act(letters, letter)) for letter in found]


async def _all_of(database: ServiceDatabase, letters: "Letters", ids: list[int]) -> "list[Letter]":
    found = await letters.list(*ids)
    if missing := sorted(set(ids) - {letter.parked.id for letter in found}):
        names = ", ".join(f"{database.service}/{number}" for number in missing)
        raise Expected(f"there is no message {names}", "it was handled or dropped meanwhile", "pac dlq list")
    return found


# ---- how they are shown ----------------------------------------------------------------------------------------------


async def _rows(database: ServiceDatabase) -> list[dict[str, Any]]:
    from pac.eventlog.letters import Letters  # noqa: PLC0415 (slow to import)

    async with database.opened() as opened:
        letters = Letters(opened)
        return [_row(letters, letter) for letter in await letters.list()]


def _row(letters: "Letters", letter: "Letter") -> dict[str, Any]:
    from pac.contracts.base import iso, one_line  # noqa: PLC0415 (slow to import)
    from pac.servicekit.redaction import redact  # noqa: PLC0415

    parked, (stream, version) = letter.parked, letter.place or (None, None)
    row = {
        "id": _name(letters, letter),
        "service": letters.consumer,
        "state": letter.state.value,
        "subject": one_line(parked.subject),
        "topic": parked.raw.topic,
        "partition": parked.raw.partition,
        "offset": parked.raw.offset,
        "stream": stream and one_line(stream),
        "version": version,
        "type": one_line(letter.attributes["ce_type"]) if "ce_type" in letter.attributes else None,
        "reason": parked.reason,
        "attempts": parked.attempts,
        "parked_at": iso(parked.parked_at),
        "dead_at": iso(parked.dead_at) if parked.dead_at else None,
    }
    return {name: redact(value) for name, value in row.items()}


async def _shown(database: ServiceDatabase, number: int) -> dict[str, Any]:
    from pac.contracts.base import one_line  # noqa: PLC0415 (slow to import)
    from pac.eventlog.letters import Letters  # noqa: PLC0415
    from pac.servicekit.redaction import redact  # noqa: PLC0415

    async with database.opened() as opened:
        letters = Letters(opened)
        [letter] = await _all_of(database, letters, [number])
    event = letter.event()
    value = letter.parked.raw.value
    return {
        **_row(letters, letter),
        "headers": redact({one_line(name): one_line(text) for name, text in letter.attributes.items()}),
        "event": None if event is None else redact(event.model_dump(mode="json")),
        "value": {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()},
    }
