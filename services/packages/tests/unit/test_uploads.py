"""What an upload leaves when it cannot even begin."""

from pathlib import Path
from typing import cast

import pytest
from aiohttp import hdrs
from aiohttp.test_utils import make_mocked_request

from pac.eventlog.types import LogUnavailable
from pac.packages.body import MIB, BodyLimits
from pac.packages.leftovers import Leftovers
from pac.packages.uploads import Uploads
from pac.servicekit.objects import Objects


class Away:
    async def note(self, _key: str) -> None:
        raise LogUnavailable("Postgres is away")

    async def remove(self, _key: str) -> None:
        raise LogUnavailable("Postgres is away")


async def test_no_descriptor_and_no_file_stays_when_postgres_is_away(tmp_path: Path) -> None:
    uploads = Uploads(cast("Objects", None), cast("Leftovers", Away()), BodyLimits(MIB), tmp_path)
    headers = {hdrs.CONTENT_TYPE: "multipart/form-data; boundary=x"}
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(LogUnavailable):
            async with uploads.receive(make_mocked_request("POST", "/", headers)):
                raise AssertionError("it cannot have come in")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []
