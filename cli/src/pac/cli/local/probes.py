"""Is it ready? Small questions asked on a socket of 127.0.0.1, without any client library."""

import asyncio
import struct
from dataclasses import dataclass

HOST = "127.0.0.1"
ANSWER_SECONDS = 2.0
POSTGRES_PROTOCOL = 3 << 16
KAFKA_METADATA = 3


async def ask(port: int, question: bytes, answer_bytes: int) -> bytes:
    """The first bytes of an answer; fewer when the other side hung up, none when nobody is there."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(question)
                await writer.drain()
                return await reader.readexactly(answer_bytes)
            finally:
                writer.close()
    except asyncio.IncompleteReadError as short:
        return short.partial
    except (OSError, TimeoutError):
        return b""


@dataclass(frozen=True)
class HttpProbe:
    port: int
    path: str = "/readyz"
    statuses: tuple[int, ...] = (200,)

    async def __call__(self) -> bool:
        request = f"GET {self.path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nConnection: close\r\n\r\n"
        head = await ask(self.port, request.encode(), len("HTTP/1.1 200"))
        return any(head.endswith(f" {status}".encode()) for status in self.statuses)


@dataclass(frozen=True)
class PostgresProbe:
    """Starts to log in: a server that is still recovering says so with an error, a ready one asks for the password."""

    port: int
    user: str

    async def __call__(self) -> bool:
        body = struct.pack("!i", POSTGRES_PROTOCOL) + f"user\0{self.user}\0database\0postgres\0\0".encode()
        return await ask(self.port, struct.pack("!i", len(body) + 4) + body, 1) == b"R"


@dataclass(frozen=True)
class KafkaProbe:
    """Asks for the cluster's metadata: ready once a broker is in it that may hold partitions."""

    port: int

    async def __call__(self) -> bool:
        correlation, version, no_client, no_topics = 7, 1, -1, 0
        body = struct.pack("!hhihi", KAFKA_METADATA, version, correlation, no_client, no_topics)
        answer = await ask(self.port, struct.pack("!i", len(body)) + body, 12)
        if len(answer) < 12:  # noqa: PLR2004 (length, correlation, number of brokers)
            return False
        _, answered, brokers = struct.unpack("!iii", answer)
        return bool(answered == correlation and brokers > 0)
