import asyncio

import pytest
from aiohttp import MultipartReader, StreamReader
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict

from pac.contracts.errors import ErrorCode, Refused
from pac.packages.body import MIB, BodyLimits, BoundedBody, megabytes, too_large

LIMITS = BodyLimits(file_bytes=100 * MIB, overhead_bytes=1000, idle_seconds=0.05, grace_seconds=0.0)


def stream(data: bytes, *, ended: bool = True) -> StreamReader:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    reader = StreamReader(protocol, max(2**16, len(data)), loop=loop)
    reader.feed_data(data)
    if ended:
        reader.feed_eof()
    return reader


async def test_lines_and_bytes_come_as_they_are_and_may_be_given_back() -> None:
    body = BoundedBody(stream(b"one\ntwo\nthree"), LIMITS)
    assert await body.readline() == b"one\n"
    assert await body.read(2) == b"tw"
    body.unread_data(b"tw")
    assert await body.readline() == b"two\n"
    body.unread_data(b"2\nrest ")
    assert await body.readline() == b"2\n"
    assert await body.readline() == b"rest three"
    assert body.at_eof()
    assert body.read_bytes == len(b"one\ntwo\nthree")


async def test_what_is_not_the_file_has_a_limit_of_its_own() -> None:
    body = BoundedBody(stream(b"x" * 1500), LIMITS)
    body.payload_bytes = 600
    assert len(await body.read(1500)) == 1500
    other = BoundedBody(stream(b"x" * 1500), LIMITS)
    with pytest.raises(Refused) as refused:
        await other.read(1500)
    assert refused.value.code is ErrorCode.TOO_LARGE


async def test_a_preamble_of_two_hundred_megabytes_is_refused_before_one_has_been_read() -> None:
    """As aiohttp reads it: line by line, looking for the first boundary."""
    lines = (b"a" * 1000 + b"\r\n") * 1200
    body = BoundedBody(stream(lines, ended=False), BodyLimits(file_bytes=100 * MIB))
    headers = CIMultiDict({"Content-Type": "multipart/form-data; boundary=x"})
    with pytest.raises(Refused) as refused:
        await MultipartReader(headers, body).next()  # type: ignore[arg-type]
    assert refused.value.code is ErrorCode.TOO_LARGE
    assert body.read_bytes < MIB


async def test_a_body_that_stops_is_too_slow() -> None:
    body = BoundedBody(stream(b"x", ended=False), LIMITS)
    await body.read(1)
    with pytest.raises(Refused) as refused:
        await body.read(1)
    assert refused.value.code is ErrorCode.TOO_SLOW


async def test_a_trickle_is_too_slow_although_it_never_stops() -> None:
    reader = stream(b"", ended=False)
    body = BoundedBody(reader, LIMITS)
    asyncio.get_running_loop().call_later(0.02, reader.feed_data, b"x")
    with pytest.raises(Refused) as refused:
        await body.read(1)
    assert refused.value.code is ErrorCode.TOO_SLOW


def test_the_sentence_is_what_the_real_client_shows() -> None:
    assert too_large(LIMITS, 120 * MIB).sentence == "Package too large: 120 MB, limit is 100 MB"
    assert too_large(LIMITS).sentence == "Package too large: more than 100 MB, limit is 100 MB"


@pytest.mark.parametrize(("size", "shown"), [(1, 1), (MIB, 1), (MIB + 1, 2)])
def test_a_started_megabyte_counts(size: int, shown: int) -> None:
    assert megabytes(size) == shown
