"""Deployments that never were: histories as the hub's own decider tells them, written into a log in bulk."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, count, zip_longest
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
SIDE_BY_SIDE = 20
ROUNDS_PER_COPY = 50


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
    """A deployment from its queue to its end, without a fault; some take longer than others."""
    told = submission(number)
    who, pause = told.deployment_id, timedelta(seconds=0.1 + number % 10 / 3)
    moments = (told.at + pause * times for times in count(1))
    commands: list[Command] = [
        QueueDeployment(told),
        FundDeployment(who, next(moments)),
        StartDeployment(who, number, next(moments)),
        *(CompleteStep(who, step, 1, next(moments)) for step in Step if step is not Step.FINALIZE),
        CompleteDeployment(who, 1, next(moments)),
    ]
    state, events = HUB.initial, list[DeploymentEvent]()
    for command in commands:
        said = HUB.decide(state, command)
        state = HUB.fold(said, state)
        events += said
    return events


async def fill(url: str, events: int) -> int:
    """At least so many events of whole deployments, some side by side at any time; returns how many."""
    done = number = 0
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while done < events:
            async with connection.cursor().copy(COPY) as copy:
                for _ in range(ROUNDS_PER_COPY):
                    streams = [list(_rows(each)) for each in range(number, number + SIDE_BY_SIDE)]
                    for row in filter(None, chain.from_iterable(zip_longest(*streams))):
                        await copy.write_row(row)
                        done += 1
                    number += SIDE_BY_SIDE
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
