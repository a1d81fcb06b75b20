"""What crashes may leave for a while and a sweep removes: temporary files, staged objects, unfinished uploads."""

from pathlib import Path

from pac.servicekit.objects import Objects
from pac.testkit.eventually import eventually
from pac.testkit.whole import PACKAGES, World, keys_in

SWEPT_SECONDS = 100.0  # a minute until it counts as old, then the next sweep
SERVERS_OWN = ".mpus-"  # how this server keeps an upload's parts; the uploads themselves are asked for below
KNOWN = """
SELECT object_key FROM state.packages UNION SELECT staging_key FROM state.packages WHERE staging_key IS NOT NULL
UNION SELECT sealed_key FROM state.submissions WHERE sealed_key IS NOT NULL
"""
NOTED = "SELECT format('%s is noted as left over', key) FROM state.leftovers"


async def left_over(world: World, temporary: Path) -> list[str]:
    """One line for each; what a package refers to is none."""
    known = {key for (key,) in await world.rows(PACKAGES, KNOWN)}
    async with Objects(world.bucket) as objects:
        stored = {key for key in await keys_in(objects) if is_ours(key)}
        uploads = await objects._client.list_multipart_uploads(Bucket=objects.settings.bucket)  # noqa: SLF001 - no service lists
    return [
        *await world.lines(PACKAGES, NOTED),
        *(f"{key} is stored, and nobody knows it" for key in sorted(stored - known)),
        *(f"an upload of {one['Key']} was never finished" for one in uploads.get("Uploads", ())),
        *(f"{path.name} is left in the folder of temporary files" for path in sorted(temporary.iterdir())),
    ]


async def nothing_left_over(world: World, temporary: Path, *, seconds: float = SWEPT_SECONDS) -> list[str]:
    """What is still there when the sweeps have had their time."""

    async def is_clean() -> bool:
        return not await left_over(world, temporary)

    try:
        await eventually(is_clean, seconds=seconds)
    except TimeoutError:
        return await left_over(world, temporary)
    return []


def is_ours(key: str) -> bool:
    """This server also keeps an empty file by an upload's id, which a kill leaves; each key of ours has a folder."""
    return "/" in key and not key.startswith(SERVERS_OWN)
