"""`pac storage`: the bucket, and the bytes that packages would remove now (it only looks; packages removes them)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pac.cli.databases import Service, ServiceDatabase, databases
from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, StateDir, expected, say, say_json, say_table

if TYPE_CHECKING:
    from pac.packages.unused import Unused

DAY_SECONDS = 86400.0  # the service's own default
LOOK_MAX = 100_000
storage = typer.Typer(no_args_is_help=True, help="The bytes of packages.")


@storage.command("unused")
@expected
def unused(
    *,
    keep_seconds: Annotated[
        float,
        typer.Option(
            "--keep-seconds", envvar="PACKAGES_KEEP_UNUSED_SECONDS", min=0, help="How long unused bytes are kept."
        ),
    ] = DAY_SECONDS,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """What would go now, and how many bytes that is. Nothing is removed."""
    [database] = databases(state_dir, Service.PACKAGES)
    found = asyncio.run(_unused(database, keep_seconds))
    size_bytes = sum(one.size_bytes or 0 for one in found)
    if output is Format.JSON:
        objects = [
            {"key": one.key, "size_bytes": one.size_bytes, "package_ids": [str(each) for each in one.package_ids]}
            for one in found
        ]
        say_json({"objects": objects, "count": len(objects), "size_bytes": size_bytes})
        return
    rows = [(one.key, "-" if one.size_bytes is None else one.size_bytes, len(one.package_ids)) for one in found]
    say_table(("key", "size_bytes", "packages"), rows)
    say(f"{len(found)} objects, {size_bytes} bytes would go")


@storage.command("create-bucket")
@expected
def create_bucket() -> None:
    """Make the bucket that S3_BUCKET names on S3_ENDPOINT_URL, unless it is there."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 (slow to import)

    from pac.servicekit.objects import Objects, ObjectsSettings, ObjectsUnavailable  # noqa: PLC0415
    from pac.servicekit.settings import load_settings  # noqa: PLC0415

    settings = load_settings(ObjectsSettings)

    async def made() -> bool:
        async with Objects(settings) as objects:
            return await objects.ensure_bucket()

    try:
        created = asyncio.run(made())
    except (ObjectsUnavailable, ClientError) as fault:
        why, mend = f"{settings.endpoint_url}: {fault}", "mend S3_ENDPOINT_URL, S3_BUCKET or the keys in AWS_…"
        raise Expected("the bucket could not be made", why, f"{mend}, then: pac storage create-bucket") from None
    say(f"{'created' if created else 'found'} {settings.bucket}")


async def _unused(database: ServiceDatabase, keep_seconds: float) -> "list[Unused]":
    from pac.packages.unused import unused as look  # noqa: PLC0415 (slow to import)

    since = datetime.now(UTC) - timedelta(seconds=keep_seconds)
    async with database.opened() as opened, opened.reading() as connection:
        return await look(connection, since, limit=LOOK_MAX)
