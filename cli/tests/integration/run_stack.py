"""A program that runs a local stack until it is killed: `python run_stack.py FOLDER`. Says "up" when it is ready."""

import asyncio
import sys
from pathlib import Path

from pac.cli.local import LocalStack


async def main() -> None:
    async with LocalStack(Path(sys.argv[1]), s3=False) as stack:
        await stack.create_database("kept", "password")
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main())
