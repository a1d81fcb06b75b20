"""Checks that credits moved exactly once, and why: the hold, its ledger, and the deployment's end agree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from pac.servicekit.proof.reading import Fault, difference

Json = Mapping[str, Any]
ENDS = ("CreditsCaptured", "CreditsReleased")
# What the hold must have come to at each end of a deployment.
SETTLED: Mapping[str, tuple[str, ...]] = {
    "DeploymentCompleted": ("CreditsCaptured",),
    "DeploymentFailed": ("CreditsReleased", "CreditsRefused"),
    "DeploymentCancelled": ("CreditsReleased", "CreditsRefused"),
    "DeploymentRejected": ("CreditsRefused",),
}
# kind, from where, to where
MOVES: Mapping[str, tuple[str, str, str]] = {
    "CreditsReserved": ("reserve", "available", "reserved"),
    "CreditsCaptured": ("capture", "reserved", "spent"),
    "CreditsReleased": ("release", "reserved", "available"),
}


@dataclass(frozen=True)
class Told:
    """The parts that a proof may have; `hub` and `submission` are None where they were out of reach."""

    deployment_id: str
    hold: Json
    hub: Json | None
    submission: Json | None

    @property
    def end(self) -> str | None:
        """How the deployment ended, if the hub was asked and says that it has."""
        types = [event["type"] for event in self.hub["events"]] if self.hub is not None else []
        return next((type_ for type_ in types if type_ in SETTLED), None)

    @property
    def settled(self) -> str | None:
        """What has become of the credits: None while they are held."""
        types = [event["type"] for event in self.hold["events"]]
        return next((type_ for type_ in types if type_ in (*ENDS, "CreditsRefused")), None)


def faults_of(told: Told) -> Iterator[Fault]:
    yield from _hold(told.hold)
    yield from _ledger(told)
    if told.hub is not None:
        yield from _end(told, told.hub["statement"]["stream"], told.hub["events"])
        yield from _causes(told, told.hub["events"])


def _hold(hold: Json) -> Iterator[Fault]:
    """Reserved, then captured or released, once; or refused, and nothing else."""
    stream, events = hold["statement"]["stream"], hold["events"]
    types = tuple(event["type"] for event in events)
    allowed = {("CreditsReserved",), ("CreditsRefused",), *(("CreditsReserved", end) for end in ENDS)}
    if types not in allowed:
        number = next((n for n in range(1, len(types) + 1) if types[:n] not in allowed), len(types))
        yield Fault(f"a hold cannot be {' then '.join(types) or 'nothing'}", stream, number, "type")
    elif len(events) > 1 and events[0]["data"]["amount"] != events[1]["data"]["amount"]:
        reserved, ended = (event["data"]["amount"] for event in events)
        yield Fault(f"{reserved} were held, {ended} moved", stream, 2, "data.amount")


def _ledger(told: Told) -> Iterator[Fault]:
    """Exactly the movements of the events, each with legs that sum to zero; the balance is billing's signed word."""
    stream, entries = told.hold["statement"]["stream"], told.hold["statement"]["ledger"]
    for entry in entries:
        if sum(entry["legs"].values()) != 0:
            yield Fault("the legs do not sum to zero", stream, field=f"ledger.{entry['kind']}.legs")
    expected = [entry for event in told.hold["events"] if (entry := _entry_of(told.deployment_id, event)) is not None]
    shown = [{name: value for name, value in entry.items() if name != "balance"} for entry in entries]
    for number, entry in enumerate(expected):
        if number >= len(shown):
            yield Fault("is not in the ledger", stream, field=f"ledger.{entry['kind']}")
        elif (field := difference(shown[number], entry)) is not None:
            yield Fault("is not what the events say", stream, field=f"ledger.{entry['kind']}.{field}")
    for entry in shown[len(expected) :]:
        yield Fault("no event says so", stream, field=f"ledger.{entry['kind']}")


def _entry_of(deployment_id: str, event: Json) -> dict[str, Any] | None:
    if (move := MOVES.get(event["type"])) is None or not (amount := event["data"].get("amount")):
        return None
    kind, source, target = move
    legs = {source: -amount, target: amount}
    return {
        "id": str(uuid5(UUID(deployment_id), kind)),
        "at": event["at"],
        "kind": kind,
        "amount": legs.get("available", 0),
        "legs": legs,
    }


def _end(told: Told, stream: str, events: Sequence[Json]) -> Iterator[Fault]:
    """Completed exactly if captured; whatever else ended has nothing held."""
    ends = [event for event in events if event["type"] in SETTLED]
    if not ends:
        return  # open: what is held may move yet, and billing may know more than the hub
    first = ends[0]
    if first is not events[-1]:
        yield Fault("it went on after its end", stream, first["version"], "type")
    elif told.settled not in SETTLED[first["type"]]:
        is_held = f"while its credits are {told.settled or 'still held'}"
        yield Fault(f"it ended as {first['type']} {is_held}", stream, first["version"], "type")


def _causes(told: Told, events: Sequence[Json]) -> Iterator[Fault]:
    """Why credits moved: each event of the hold names the event of the hub that caused it."""
    said = {event["metadata"].get("id"): event for event in events}
    stream = told.hold["statement"]["stream"]
    for event in told.hold["events"]:
        cause = said.get(event["metadata"].get("causation_id"))
        if cause is None:
            if told.end is not None:
                yield Fault("no event of the deployment", stream, event["version"], "metadata.causation_id")
        elif not _may_cause(cause, event):
            what = f"{cause['type']} does not move credits like this"
            yield Fault(what, stream, event["version"], "metadata.causation_id")
    if told.submission is not None and told.submission["events"]:
        queued, submitted = events[0] if events else None, told.submission["events"][0]
        if queued is not None and queued["metadata"].get("causation_id") != submitted["metadata"].get("id"):
            stream = f"deployment-{told.deployment_id}"
            yield Fault("is not the submission", stream, 1, "metadata.causation_id")


def _may_cause(cause: Json, event: Json) -> bool:
    match event["type"]:
        case "CreditsReserved" | "CreditsRefused":
            return bool(cause["type"] == "DeploymentQueued")
        case "CreditsCaptured":
            return bool(cause["type"] == "StepStarted" and cause["data"].get("step") == "finalize")
        case _:
            return bool(cause["type"] == "DeploymentAborted")
