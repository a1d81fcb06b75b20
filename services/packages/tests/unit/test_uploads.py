"""What an upload leaves when it cannot begin, or not end."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
from aiohttp import hdrs
from aiohttp.test_utils import make_mocked_request

from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog.types import LogUnavailable
from pac.packages.body import MIB, BodyLimits
from pac.packages.leftovers import Leftovers
from pac.packages.uploads import Uploads
from pac.servicekit.objects import Objects, ObjectsUnavailable
from pac.testkit.descriptors import opened


class Away:
    async def note(self, _key: str) -> None:
        raise LogUnavailable("Postgres is away")

    async def remove(self, _key: str) -> None:
        raise LogUnavailable("Postgres is away")


async def test_no_descriptor_and_no_file_stays_when_postgres_is_away(tmp_path: Path) -> None:
    uploads = Uploads(cast("Objects", None), cast("Leftovers", Away()), BodyLimits(MIB), tmp_path)
    headers = {hdrs.CONTENT_TYPE: "multipart/form-data; boundary=x"}
    for _ in range(5):
        with pytest.raises(LogUnavailable):
            async with uploads.receive(make_mocked_request("POST", "/", headers)):
                raise AssertionError("it cannot have come in")
    assert [path for path in opened() if path.startswith(str(tmp_path))] == []
    assert list(tmp_path.iterdir()) == []


class Noting:
    def __init__(self) -> None:
        self.noted: set[str] = set()

    async def note(self, key: str) -> None:
        self.noted.add(key)

    async def remove(self, key: str) -> None:
        self.noted.discard(key)


@pytest.mark.parametrize(("fault", "stays"), [(ObjectsUnavailable, 1), (Refused, 0)])
async def test_what_the_store_may_have_in_part_stays_noted(tmp_path: Path, fault: type[Exception], stays: int) -> None:
    noting = Noting()
    uploads = Uploads(cast("Objects", None), cast("Leftovers", noting), BodyLimits(MIB), tmp_path)
    object.__setattr__(uploads, "_read", failing(fault))
    headers = {hdrs.CONTENT_TYPE: "multipart/form-data; boundary=x"}
    with pytest.raises(fault):
        async with uploads.receive(make_mocked_request("POST", "/", headers)):
            raise AssertionError("it cannot have come in")
    assert len(noting.noted) == stays
    assert list(tmp_path.iterdir()) == []


def failing(fault: type[Exception]) -> Callable[..., Awaitable[None]]:
    async def fail(*_: object) -> None:
        raise fault(ErrorCode.TOO_SLOW)

    return fail
