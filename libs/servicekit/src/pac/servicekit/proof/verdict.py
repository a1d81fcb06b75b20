"""Is this proof sound? Offline: all that is needed is the file, and the keys if they are to be pinned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pac.contracts.base import Outcome
from pac.contracts.topics import ServiceName
from pac.servicekit.proof import chains, money
from pac.servicekit.proof.chains import PinnedKeys
from pac.servicekit.proof.form import CATEGORIES, part_of
from pac.servicekit.proof.reading import Fault, read

OUTCOMES: Mapping[str, str] = {
    "DeploymentCompleted": Outcome.SUCCEEDED,
    "DeploymentFailed": Outcome.FAILED,
    "DeploymentCancelled": Outcome.CANCELLED,
    "DeploymentRejected": Outcome.REJECTED,
}
CREDITS: Mapping[str, str] = {
    "CreditsCaptured": "captured",
    "CreditsReleased": "released",
    "CreditsRefused": "refused",
}


@dataclass(frozen=True)
class Verdict:
    """What a sound proof shows. `outcome`: as the API names it, `open`, or None where the hub was out of reach."""

    faults: Sequence[Fault]
    deployment_id: str | None = None
    outcome: str | None = None
    credits: str | None = None
    amount: int = 0
    events: int = 0
    missing: Sequence[str] = ()
    keys: Mapping[str, str] | None = None
    pinned: bool = False

    @property
    def sound(self) -> bool:
        return not self.faults


def verdict_on(content: bytes, pinned: PinnedKeys | None = None) -> Verdict:
    proof = read(content)
    if isinstance(proof, Fault):
        return Verdict([proof])
    faults = [*_faults_of_the_whole(proof)]
    for part in proof["parts"]:
        faults += chains.faults_of(part, proof["deployment_id"], pinned)
    if faults:
        return Verdict(faults, proof["deployment_id"])
    told = _told(proof)
    try:
        faults = [*money.faults_of(told)]
    except (KeyError, TypeError, ValueError) as strange:
        faults = [Fault(f"it is no story of a deployment ({type(strange).__name__})", field="parts")]
    if faults:
        return Verdict(faults, proof["deployment_id"])
    hold = told.hold["events"]
    return Verdict(
        [],
        proof["deployment_id"],
        outcome=None if told.hub is None else OUTCOMES.get(told.end or "", "open"),
        credits=CREDITS.get(told.settled or "", "held"),
        amount=hold[0]["data"].get("amount", 0),
        events=sum(len(part["events"]) for part in proof["parts"]),
        missing=proof["missing"],
        keys={part["statement"]["service"]: part["key"]["id"] for part in proof["parts"]},
        pinned=pinned is not None,
    )


def _faults_of_the_whole(proof: Mapping[str, Any]) -> Sequence[Fault]:
    services = [part["statement"]["service"] for part in proof["parts"]]
    if services != [one.value for one in CATEGORIES if one.value in services]:
        return [Fault("a part is there twice, or in another order", field="parts")]
    if proof["missing"] != [one.value for one in CATEGORIES if one.value not in services]:
        return [Fault("does not name what is left out", field="missing")]
    if len({part["statement"]["account_id"] for part in proof["parts"]}) > 1:
        return [Fault("the parts are not of one account", field="parts")]
    return []


def _told(proof: Mapping[str, Any]) -> money.Told:
    hold = part_of(proof, ServiceName.BILLING)
    assert hold is not None, "it may not be missing"
    hub, submission = (part_of(proof, one) for one in (ServiceName.DEPLOYMENTS, ServiceName.PACKAGES))
    return money.Told(proof["deployment_id"], hold, hub, submission)
