"""The replies, field by field against the specification's examples."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pac.contracts.api import DeploymentReply
from pac.contracts.base import Outcome, Source, Step
from pac.contracts.deployments import DeploymentCancelled, DeploymentEvent, DeploymentPartSettled, DeploymentRejected
from pac.deployments.domain import SettleCredits
from pac.deployments.queries import History, Place
from pac.deployments.views import queue_view, view_of

from .examples import (
    APP,
    COMPLETED,
    DEPLOYMENT,
    FINALIZING,
    HELD,
    ID,
    IDS,
    LATER,
    PACKAGE,
    UNDECIDED,
    aborted,
    funded,
    processing,
    queued,
    started,
    step_completed,
    step_failed,
    step_resumed,
    step_started,
    step_waiting,
)

TIME = "2024-01-01T12:00:00Z"
PENDING = [{"name": step.value, "status": "pending"} for step in Step]


def shown(*history: DeploymentEvent) -> dict[str, Any]:
    body: dict[str, Any] = DeploymentReply(deployment=view_of(DEPLOYMENT.fold(history))).model_dump(mode="json")
    deployment: dict[str, Any] = body["deployment"]
    return deployment


def steps(view: dict[str, Any]) -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = view["progress"]["steps"]
    return found


def test_a_processing_deployment_is_the_specifications_example_and_more() -> None:
    assert shown(*processing(Step.UPLOAD_TO_S3)) == {
        "id": str(ID),
        "status": "processing",
        "package_id": str(PACKAGE),
        "agent_app_id": str(APP),
        "version": "1.2.0",
        "created_at": TIME,
        "started_at": TIME,
        "progress": {
            "current_step": "upload_to_s3",
            "steps": [
                {"name": "validate_package", "status": "completed", "started_at": TIME, "completed_at": TIME},
                {"name": "upload_to_s3", "status": "processing", "started_at": TIME},
                *PENDING[2:],
            ],
        },
        "source": "upload",
        "release": 3,
    }


def test_a_queued_deployment_has_no_step_yet() -> None:
    for history in (UNDECIDED, HELD):
        view = shown(*history)
        assert view["status"] == "queued"
        assert view["progress"] == {"current_step": None, "steps": PENDING}
        assert "started_at" not in view


def test_its_place_is_shown_while_it_is_queued() -> None:
    place = Place(position=3, rounds=2)
    waiting = queue_view(DEPLOYMENT.fold(HELD), place, History(10.2, 30.0))
    assert waiting.model_dump() == {
        "position": 3,
        "reason": "waiting_for_slot",
        "eta_p50_seconds": 21,
        "eta_p90_seconds": 60,
    }
    undecided = queue_view(DEPLOYMENT.fold(UNDECIDED), place, History())
    assert undecided.reason == "waiting_for_billing"
    assert undecided.eta_p50_seconds is None


def test_a_completed_deployment_has_no_current_step() -> None:
    view = shown(*COMPLETED)
    assert view["status"] == "completed"
    assert view["outcome"] == "succeeded"
    assert view["progress"]["current_step"] is None
    assert [step["status"] for step in steps(view)] == ["completed"] * 5
    assert view["completed_at"] == "2024-01-01T12:00:10Z"
    assert view["duration_seconds"] == 10
    assert "error" not in view


def test_finalizing_is_still_processing() -> None:
    view = shown(*FINALIZING)
    assert (view["status"], view["progress"]["current_step"]) == ("processing", "finalize")


FAILED = aborted(
    Outcome.FAILED,
    "invalid_package",
    "Package validation failed: Invalid APKG format (+1 more)",
    step=Step.VALIDATE_PACKAGE,
    details=("Invalid APKG format", "Missing required manifest.json"),
)


def test_aborting_shows_no_outcome_yet() -> None:
    view = shown(*processing(Step.NOTIFY_RUNTIME), aborted(step=Step.NOTIFY_RUNTIME))
    assert view["status"] == "processing"
    assert not {"outcome", "error", "error_code", "completed_at"} & view.keys()


def test_a_failed_deployment_says_why_in_one_line_and_where() -> None:
    state = DEPLOYMENT.fold(
        (
            *processing(Step.VALIDATE_PACKAGE),
            step_failed(Step.VALIDATE_PACKAGE, 1, FAILED.error, next_at=None, retriable=False),
            FAILED,
            DeploymentPartSettled(**IDS, at=LATER, part="package"),
        )
    )
    (ended,) = DEPLOYMENT.decide(state, SettleCredits(ID, LATER))
    view = DeploymentReply(deployment=view_of(DEPLOYMENT.evolve(state, ended))).model_dump(mode="json")["deployment"]
    assert (view["status"], view["outcome"]) == ("failed", "failed")
    assert view["error"] == "Package validation failed: Invalid APKG format (+1 more)"
    assert view["error_code"] == "invalid_package"
    assert view["error_details"] == ["Invalid APKG format", "Missing required manifest.json"]
    assert view["progress"]["current_step"] == "validate_package"
    assert steps(view)[0]["status"] == "failed"
    assert steps(view)[0]["reason"] == view["error"]
    assert steps(view)[1:] == PENDING[1:]
    assert (view["completed_at"], view["duration_seconds"]) == ("2024-01-01T12:00:10Z", 10)


def test_a_rejected_deployment_shows_failed_and_the_figures() -> None:
    refused = aborted(Outcome.REJECTED, "insufficient_credits", "Insufficient credits", required=10, available=5)
    end = DeploymentRejected(
        **IDS,
        at=LATER,
        agent_app_id=APP,
        package_id=PACKAGE,
        code="insufficient_credits",
        error="Insufficient credits",
        required=10,
        available=5,
    )
    view = shown(*UNDECIDED, refused, end)
    assert (view["status"], view["outcome"], view["error"]) == ("failed", "rejected", "Insufficient credits")
    assert (view["required"], view["available"], view["error_code"]) == (10, 5, "insufficient_credits")
    assert view["progress"] == {"current_step": None, "steps": PENDING}
    assert view["duration_seconds"] == 10


def test_a_cancelled_deployment_leaves_no_step_processing() -> None:
    end = DeploymentCancelled(
        **IDS, at=LATER, agent_app_id=APP, package_id=PACKAGE, code="cancelled", error="Deployment was cancelled"
    )
    view = shown(*processing(Step.NOTIFY_RUNTIME), aborted(step=Step.NOTIFY_RUNTIME), end)
    assert (view["status"], view["outcome"]) == ("failed", "cancelled")
    assert [step["status"] for step in steps(view)] == ["completed", "completed", "completed", "failed", "pending"]


def test_skipped_steps_are_completed_without_times() -> None:
    done = (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA)
    view = shown(queued(done, Source.ROLLBACK), funded(), started(), step_started(Step.NOTIFY_RUNTIME))
    assert steps(view)[:3] == [{"name": step.value, "status": "completed", "skipped": True} for step in done]
    assert view["source"] == "rollback"


def test_another_attempt_shows_its_number_and_why() -> None:
    again = step_failed(Step.VALIDATE_PACKAGE, 1, "late", next_at=LATER + timedelta(seconds=5))
    view = shown(*processing(Step.VALIDATE_PACKAGE), again, step_started(Step.VALIDATE_PACKAGE, 2, LATER))
    assert steps(view)[0] == {
        "name": "validate_package",
        "status": "processing",
        "attempt": 2,
        "started_at": TIME,
        "reason": "late",
    }


def test_a_step_that_waits_for_the_runtime_says_so_and_since_when() -> None:
    waits = (*processing(Step.NOTIFY_RUNTIME), step_waiting())
    assert steps(shown(*waits))[3] == {
        "name": "notify_runtime",
        "status": "processing",
        "started_at": TIME,
        "waiting": {"reason": "waiting_for_runtime", "since": TIME},
    }
    late = step_failed(Step.NOTIFY_RUNTIME, 1, "late", next_at=LATER)
    for over in (
        (step_resumed(),),
        (step_completed(Step.NOTIFY_RUNTIME),),
        (late,),
        (late, step_started(Step.NOTIFY_RUNTIME, 2)),
        (aborted(step=Step.NOTIFY_RUNTIME),),
    ):
        assert "waiting" not in steps(shown(*waits, *over))[3]
