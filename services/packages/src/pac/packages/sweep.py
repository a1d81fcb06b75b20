"""Removes, now and then, what requests and crashes have left behind, and the bytes that nobody needs any more."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from pac.packages.collection import Collection
from pac.packages.leftovers import Leftovers

logger = structlog.get_logger(__name__)
TEMPORARY = ("upload-*.apkg", "step-*.apkg")


@dataclass(frozen=True)
class Sweep:
    """Noted objects, unfinished multipart uploads, temporary files, unused content."""

    leftovers: Leftovers
    collection: Collection
    temp_dir: Path
    interval_seconds: float
    age: timedelta
    name: str = "sweep"

    async def run(self) -> None:
        while True:
            removed = await self.once()
            if removed:
                logger.info("leftovers_removed", count=removed)
            await asyncio.sleep(self.interval_seconds)

    async def once(self) -> int:
        keys = [key for key in await self.leftovers.older_than(self.age) if await self.leftovers.sweep(key, self.age)]
        uploads = await self.leftovers.objects.sweep_uploads(older_than=self.age)
        files = await asyncio.to_thread(remove_old_files, self.temp_dir, self.age)
        return len(keys) + uploads + files + await self.collection.once()


def remove_old_files(folder: Path, age: timedelta) -> int:
    """Only files named as ours are, and only old ones: another process may be writing beside us."""
    limit = time.time() - age.total_seconds()
    old = [path for pattern in TEMPORARY for path in folder.glob(pattern) if path.stat().st_mtime < limit]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
