"""Every event of the neighbours as a command, or as none."""

from typing import Any, get_args

import pytest

from pac.contracts.base import Step
from pac.contracts.billing import BillingEvent, CreditsCaptured, CreditsRefused, CreditsReleased, CreditsReserved
from pac.contracts.packages import (
    PackageDescribed,
    PackageEvent,
    PackageRejected,
    PackageStored,
    PackageValidated,
    PackageWithdrawn,
    Problem,
)
from pac.contracts.runtime_notifier import RuntimeAway, RuntimeBack, RuntimeFailed, RuntimeNotifierEvent, RuntimeReady
from pac.deployments.consumers import News, command_for
from pac.deployments.domain import (
    Command,
    CompleteDeployment,
    CompleteStep,
    FailStep,
    FundDeployment,
    HoldUpStep,
    QueueDeployment,
    RefuseCredits,
    RejectPackage,
    ResumeStep,
    SettleCredits,
    SettlePackage,
)

from .examples import APP, CONTENT, ID, IDS, LATER, NOON, PACKAGE, SUBMITTED

TOLD: dict[str, Any] = {**IDS, "at": NOON}
BAD = (Problem(code="a", message="Invalid APKG format"), Problem(code="b", message="No .env"))
COMMANDS: list[tuple[News, Command]] = [
    (SUBMITTED, QueueDeployment(SUBMITTED)),
    (PackageValidated(**TOLD, package_id=PACKAGE, attempt=2), CompleteStep(ID, Step.VALIDATE_PACKAGE, 2, LATER)),
    (
        PackageStored(**TOLD, package_id=PACKAGE, attempt=1, object_key=CONTENT),
        CompleteStep(ID, Step.UPLOAD_TO_S3, 1, LATER, CONTENT),
    ),
    (PackageDescribed(**TOLD, package_id=PACKAGE, attempt=1), CompleteStep(ID, Step.GENERATE_METADATA, 1, LATER)),
    (
        PackageRejected(**TOLD, package_id=PACKAGE, attempt=1, problems=BAD),
        RejectPackage(ID, ("Invalid APKG format", "No .env"), LATER),
    ),
    (PackageWithdrawn(**TOLD, package_id=PACKAGE, freed=True), SettlePackage(ID, LATER)),
    (RuntimeReady(**TOLD, agent_app_id=APP, attempt=3), CompleteStep(ID, Step.NOTIFY_RUNTIME, 3, LATER)),
    (
        RuntimeFailed(**TOLD, agent_app_id=APP, attempt=1, reason="no", retriable=True),
        FailStep(ID, Step.NOTIFY_RUNTIME, 1, "no", retriable=True, at=LATER),
    ),
    (
        RuntimeAway(**TOLD, agent_app_id=APP, attempt=2, since=NOON),
        HoldUpStep(ID, Step.NOTIFY_RUNTIME, 2, NOON, LATER),
    ),
    (RuntimeBack(**TOLD, agent_app_id=APP, attempt=2), ResumeStep(ID, Step.NOTIFY_RUNTIME, 2, LATER)),
    (CreditsReserved(**TOLD, amount=2), FundDeployment(ID, LATER)),
    (CreditsRefused(**TOLD, required=10, available=5), RefuseCredits(ID, 10, 5, LATER)),
    (CreditsCaptured(**TOLD, amount=2, attempt=4), CompleteDeployment(ID, 4, LATER)),
    (CreditsReleased(**TOLD, amount=2), SettleCredits(ID, LATER)),
]


@pytest.mark.parametrize(("event", "command"), COMMANDS, ids=lambda value: getattr(value, "type", ""))
def test_news_becomes_a_command_at_the_time_we_hear_it(event: News, command: Command) -> None:
    assert command_for(event, LATER) == command


def test_all_other_news_is_of_no_concern() -> None:
    handled = {type(event) for event, _ in COMMANDS}
    unions = (get_args(get_args(union)[0]) for union in (PackageEvent, BillingEvent, RuntimeNotifierEvent))
    others = [kind for union in unions for kind in union if kind not in handled]
    assert {kind.__name__ for kind in others} == {
        "PackageUploaded",
        "PackageSuperseded",
        "PackageDeleted",
        "SigningKeysChanged",
        "CreditsGranted",
        "SecretsChanged",
        "WebhookDelivered",
        "WebhookExhausted",
        "WebhookDisabled",
    }
    for kind in others:
        assert command_for(kind.model_construct(), LATER) is None
