"""A process that leads and is stopped by a signal, past its lease: when it goes on, it changes nothing."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psutil

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Relay
from pac.eventlog.checkpoints import position_in
from pac.testkit.eventually import eventually
from pac.testkit.kafka import KafkaServer
from pac.testkit.postgres import Database

from .test_relay import in_order_without_loss, nothing_unsent, producing, running, written

TOPIC = ServiceName.DEPLOYMENTS.topic
LEASE_SECONDS = 1.0
BATCH = 40
# Pauses itself where it hurts most: Kafka has acknowledged the batch, the checkpoint is not moved.
PROGRAM = f"""
import asyncio, os, signal, sys
from aiokafka import AIOKafkaProducer
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Relay, create_engine
from pac.eventlog.relay import _Leading

move, paused = _Leading._move, []

async def pause_and_move(self, before, after):
    if not paused:
        paused.append(True)
        os.kill(os.getpid(), signal.SIGSTOP)
    await move(self, before, after)

async def main():
    log = EventLog(create_engine(os.environ["DATABASE_URL"]), ServiceName.DEPLOYMENTS)
    producing = lambda: AIOKafkaProducer(bootstrap_servers=sys.argv[1], enable_idempotence=True, acks="all")
    await Relay(log, sys.argv[2], producing, batch_size={BATCH}, lease_seconds={LEASE_SECONDS}).run()

_Leading._move = pause_and_move
asyncio.run(main())
"""


@asynccontextmanager
async def leader(database: Database, kafka: KafkaServer) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "DATABASE_URL": database.url, "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, kafka.servers, TOPIC, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def test_a_leader_paused_past_its_lease_changes_nothing_when_it_goes_on(
    event_log: EventLog, database: Database, kafka: KafkaServer, example: Any
) -> None:
    apps = [uuid4() for _ in range(6)]
    await written(event_log, example, apps, times=10)
    async with leader(database, kafka) as paused:
        known = psutil.Process(paused.pid)
        await eventually(lambda: known.status() == psutil.STATUS_STOPPED, seconds=60)
        async with running(Relay(event_log, TOPIC, producing(kafka), lease_seconds=LEASE_SECONDS)):
            await eventually(lambda: nothing_unsent(event_log))
            stands = await position_in(event_log, Relay.name)
            paused.send_signal(signal.SIGCONT)
            await said(paused, "lease_lost")
            assert await position_in(event_log, Relay.name) == stands
            await written(event_log, example, apps, times=5)
            await eventually(lambda: nothing_unsent(event_log))
        # The other one is gone: now it may lead again, from where that one stood.
        await written(event_log, example, apps, times=5)
        await eventually(lambda: nothing_unsent(event_log))
    assert in_order_without_loss(await kafka.records(TOPIC), apps, times=20) == BATCH


async def said(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while word.encode() not in await process.stdout.readline():
            pass
