"""Deployments that never were: histories as the hub's own decider tells them, written into a log in bulk."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg

from pac.contracts.base import Source, Step
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.packages import PackageSubmitted
from pac.deployments.domain import (
    Command,
    CompleteDeployment,
    CompleteStep,
    Deployment,
    FundDeployment,
    QueueDeployment,
    StartDeployment,
    decider,
)
from pac.eventlog import Cause, Decider
from pac.eventlog.record import Head, rows_for

HUB: Decider[Deployment, Command, DeploymentEvent] = decider()
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COPY = "COPY log.events (stream, version, type, data, metadata, at, hash) FROM STDIN"
STREAMS_PER_COPY = 1000


def submission(number: int = 0) -> PackageSubmitted:
    """A submission that nobody has seen before."""
    return PackageSubmitted(
        deployment_id=uuid4(),
        account_id=UUID(int=number % 100 + 1),
        agent_app_id=UUID(int=number % 1000 + 1),
        package_id=uuid4(),
        package_version="1.0.0",
        sha256="5f" * 32,
        size_bytes=2_048_000,
        object_key=f"staging/{number}",
        source=Source.UPLOAD,
        no=number,
        at=BEGAN + timedelta(seconds=number),
    )


def history(number: int) -> list[DeploymentEvent]:
    """A deployment from its queue to its end, without a fault."""
    told = submission(number)
    who, at = told.deployment_id, told.at
    commands: list[Command] = [
        QueueDeployment(told),
        FundDeployment(who, at),
        StartDeployment(who, number, at),
        *(CompleteStep(who, step, 1, at) for step in Step if step is not Step.FINALIZE),
        CompleteDeployment(who, 1, at),
    ]
    state, events = HUB.initial, list[DeploymentEvent]()
    for command in commands:
        said = HUB.decide(state, command)
        state = HUB.fold(said, state)
        events += said
    return events


async def fill(url: str, events: int) -> int:
    """At least so many events, whole deployments one after the other; returns how many."""
    done = number = 0
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while done < events:
            async with connection.cursor().copy(COPY) as copy:
                for _ in range(STREAMS_PER_COPY):
                    for row in _rows(number):
                        await copy.write_row(row)
                        done += 1
                    number += 1
                    await asyncio.sleep(0)
                    if done >= events:
                        break
        await connection.execute("VACUUM ANALYZE log.events")  # a log that grew slowly was vacuumed, too
    return done


def _rows(number: int) -> Iterator[tuple[object, ...]]:
    events = history(number)
    stream = HUB.stream(events[0].deployment_id)
    flat, _ = rows_for(stream, Head(), events, Cause("bench", events[0].deployment_id))
    for first in range(0, len(flat), 7):
        yield tuple(flat[first : first + 7])
