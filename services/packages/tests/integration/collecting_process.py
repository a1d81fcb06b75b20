"""One round of the collection in a process of its own, which PAC_CRASH_POINTS may end; what it needs comes on stdin."""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Any

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, create_engine
from pac.packages.collection import Collection
from pac.servicekit.clock import utc_now
from pac.servicekit.objects import Objects, ObjectsSettings


async def main(told: dict[str, Any]) -> None:
    log = EventLog(create_engine(told["database_url"], pool_size=2), ServiceName.PACKAGES)
    async with Objects(ObjectsSettings.model_validate(told["objects"])) as objects:
        collected = await Collection(log, objects, utc_now, timedelta(0), timedelta(hours=1)).once()
    await log.close()
    sys.stdout.write(str(collected))


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
