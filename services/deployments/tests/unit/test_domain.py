"""Every cell of the table of states in `flow.md`: given, when, then."""

from datetime import timedelta

import pytest

from pac.contracts.base import Outcome, Source, Step
from pac.contracts.deployments import (
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentPartSettled,
    DeploymentRejected,
    DeploymentStarted,
    StepCompleted,
    StepFailed,
    StepStarted,
)
from pac.contracts.errors import ErrorCode
from pac.deployments.domain import (
    AbandonDeployment,
    CancelDeployment,
    CheckDeadline,
    Command,
    CompleteDeployment,
    CompleteStep,
    FailStep,
    FundDeployment,
    HoldUpStep,
    OvertakeDeployment,
    QueueDeployment,
    RefuseCredits,
    RejectPackage,
    ResumeStep,
    SettleCredits,
    SettlePackage,
    StartDeployment,
)
from pac.testkit.given import given

from .examples import (
    APP,
    COMPLETED,
    CONTENT,
    DEPLOYMENT,
    FINALIZING,
    HELD,
    ID,
    IDS,
    LATER,
    NOON,
    PACKAGE,
    POLICY,
    STAGED,
    SUBMITTED,
    UNDECIDED,
    aborted,
    deployment_completed,
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

IDLE = (UNDECIDED, HELD)


def test_a_submission_is_queued_with_all_that_later_steps_need() -> None:
    given(DEPLOYMENT).when(QueueDeployment(SUBMITTED)).then(queued())


def test_a_submission_heard_twice_is_queued_once() -> None:
    given(DEPLOYMENT, queued()).when(QueueDeployment(SUBMITTED)).then()


@pytest.mark.parametrize(
    "news",
    [
        FundDeployment(ID, NOON),
        RefuseCredits(ID, 10, 5, NOON),
        CompleteStep(ID, Step.VALIDATE_PACKAGE, 1, NOON),
        FailStep(ID, Step.NOTIFY_RUNTIME, 1, "no", retriable=True, at=NOON),
        RejectPackage(ID, ("bad",), NOON),
        CompleteDeployment(ID, 1, NOON),
        SettleCredits(ID, NOON),
        SettlePackage(ID, NOON),
    ],
)
def test_news_about_an_unknown_deployment_is_too_early(news: Command) -> None:
    given(DEPLOYMENT).when(news).then_too_early()


def test_cancelling_an_unknown_deployment_is_not_found() -> None:
    given(DEPLOYMENT).when(CancelDeployment(ID, NOON)).then_refused(ErrorCode.NOT_FOUND)


@pytest.mark.parametrize(
    "wish",
    [StartDeployment(ID, 1, NOON), OvertakeDeployment(ID, NOON), AbandonDeployment(ID, NOON), CheckDeadline(ID, NOON)],
)
def test_our_own_wishes_for_an_unknown_deployment_do_nothing(wish: Command) -> None:
    given(DEPLOYMENT).when(wish).then()


# ---- queued


def test_held_credits_let_it_wait_for_a_slot_for_a_day() -> None:
    given(DEPLOYMENT, *UNDECIDED).when(FundDeployment(ID, NOON)).then(funded())


def test_the_credits_held_twice_change_nothing() -> None:
    given(DEPLOYMENT, *HELD).when(FundDeployment(ID, NOON)).then()


def test_refused_credits_reject_it_and_are_the_end_of_the_money() -> None:
    refused = aborted(Outcome.REJECTED, "insufficient_credits", "Insufficient credits", required=10, available=5)
    after = given(DEPLOYMENT, *UNDECIDED).when(RefuseCredits(ID, 10, 5, LATER)).then(refused)
    assert after.unsettled == {"package"}
    rejected = DeploymentRejected(
        **IDS,
        at=LATER,
        agent_app_id=APP,
        package_id=PACKAGE,
        code="insufficient_credits",
        error="Insufficient credits",
        required=10,
        available=5,
    )
    given(DEPLOYMENT, *UNDECIDED, refused).when(SettlePackage(ID, LATER)).then(rejected)


@pytest.mark.parametrize("history", IDLE)
@pytest.mark.parametrize(
    "news",
    [
        CompleteStep(ID, Step.VALIDATE_PACKAGE, 1, NOON),
        FailStep(ID, Step.NOTIFY_RUNTIME, 1, "no", retriable=False, at=NOON),
        RejectPackage(ID, ("bad",), NOON),
        CompleteDeployment(ID, 1, NOON),
        SettleCredits(ID, NOON),
        SettlePackage(ID, NOON),
    ],
)
def test_answers_to_orders_not_given_yet_are_too_early(history: tuple[DeploymentEvent, ...], news: Command) -> None:
    given(DEPLOYMENT, *history).when(news).then_too_early()


@pytest.mark.parametrize("history", IDLE)
def test_cancelled_while_queued_it_ends_at_once(history: tuple[DeploymentEvent, ...]) -> None:
    given(DEPLOYMENT, *history).when(CancelDeployment(ID, LATER)).then(aborted())


def test_waiting_for_billing_never_fails_by_the_clock() -> None:
    given(DEPLOYMENT, *UNDECIDED).when(CheckDeadline(ID, NOON + timedelta(days=400))).then()


def test_without_a_slot_for_a_day_it_fails() -> None:
    at = NOON + timedelta(hours=24)
    given(DEPLOYMENT, *HELD).when(CheckDeadline(ID, at - timedelta(seconds=1))).then()
    ended = aborted(Outcome.FAILED, "no_slot", "No slot became free within 24 h", at=at)
    given(DEPLOYMENT, *HELD).when(CheckDeadline(ID, at)).then(ended)


def test_only_held_credits_let_it_start() -> None:
    given(DEPLOYMENT, *UNDECIDED).when(StartDeployment(ID, 3, NOON)).then()
    first = step_started(Step.VALIDATE_PACKAGE)
    given(DEPLOYMENT, *HELD).when(StartDeployment(ID, 3, NOON)).then(started(), first)


def test_an_overtaken_one_ends_instead_of_starting() -> None:
    error = "A newer deployment of this app has completed first"
    given(DEPLOYMENT, *HELD).when(OvertakeDeployment(ID, LATER)).then(aborted(Outcome.FAILED, "overtaken", error))
    given(DEPLOYMENT, *UNDECIDED).when(OvertakeDeployment(ID, LATER)).then()
    given(DEPLOYMENT, *processing(Step.NOTIFY_RUNTIME)).when(OvertakeDeployment(ID, LATER)).then()


# ---- processing


@pytest.mark.parametrize(("step", "following"), list(zip(list(Step)[:-1], list(Step)[1:], strict=True)))
def test_a_completed_step_starts_the_next(step: Step, following: Step) -> None:
    key = CONTENT if step is Step.UPLOAD_TO_S3 else None
    command = CompleteStep(ID, step, 1, NOON, key)
    given(DEPLOYMENT, *processing(step)).when(command).then(step_completed(step), step_started(following))


def test_the_bytes_are_in_staging_until_they_are_stored() -> None:
    keys = {event.step: event.object_key for event in FINALIZING if isinstance(event, StepStarted)}
    assert keys == {
        Step.VALIDATE_PACKAGE: STAGED,
        Step.UPLOAD_TO_S3: STAGED,
        Step.GENERATE_METADATA: CONTENT,
        Step.NOTIFY_RUNTIME: CONTENT,
        Step.FINALIZE: CONTENT,
    }


def test_steps_done_for_the_package_are_skipped_and_a_runtime_never_is() -> None:
    history = (queued(tuple(Step), Source.ROLLBACK), funded())
    _, first = given(DEPLOYMENT, *history).when(StartDeployment(ID, 3, NOON)).then_types(DeploymentStarted, StepStarted)
    assert first == step_started(Step.NOTIFY_RUNTIME, object_key=STAGED)


def test_of_a_pinned_app_it_is_stored_and_paid_and_neither_runs_nor_becomes_current() -> None:
    pinned = (*HELD, started(pinned=True), step_started(Step.VALIDATE_PACKAGE))
    given(DEPLOYMENT, *HELD).when(StartDeployment(ID, 3, NOON, pinned=True)).then(*pinned[-2:])
    stored = (*HELD, started(pinned=True), step_started(Step.GENERATE_METADATA))
    paying = step_started(Step.FINALIZE)
    answered = CompleteStep(ID, Step.GENERATE_METADATA, 1, NOON)
    _, last = given(DEPLOYMENT, *stored).when(answered).then_types(StepCompleted, StepStarted)
    assert isinstance(last, StepStarted)
    assert last.step is Step.FINALIZE
    finalizing = (*stored, step_completed(Step.GENERATE_METADATA), paying)
    given(DEPLOYMENT, *finalizing).when(CancelDeployment(ID, NOON)).then_refused(ErrorCode.TOO_LATE)
    _, end = (
        given(DEPLOYMENT, *finalizing)
        .when(CompleteDeployment(ID, 1, NOON))
        .then_types(StepCompleted, DeploymentCompleted)
    )
    assert isinstance(end, DeploymentCompleted)
    assert not end.current


def test_a_rollback_of_a_pinned_app_runs_and_becomes_current() -> None:
    history = (queued(tuple(Step), Source.ROLLBACK), funded())
    start = StartDeployment(ID, 3, NOON, pinned=True)
    begun, first = given(DEPLOYMENT, *history).when(start).then_types(DeploymentStarted, StepStarted)
    assert first == step_started(Step.NOTIFY_RUNTIME, object_key=STAGED)
    assert isinstance(begun, DeploymentStarted)
    assert not begun.pinned


def test_a_gap_in_the_steps_done_is_filled() -> None:
    history = (queued((Step.VALIDATE_PACKAGE, Step.GENERATE_METADATA), Source.RETRY), funded(), started())
    after_upload = (*history, step_started(Step.UPLOAD_TO_S3))
    given(DEPLOYMENT, *after_upload).when(CompleteStep(ID, Step.UPLOAD_TO_S3, 1, NOON, CONTENT)).then(
        step_completed(Step.UPLOAD_TO_S3), step_started(Step.NOTIFY_RUNTIME)
    )


def test_the_same_answer_twice_changes_nothing() -> None:
    history = processing(Step.UPLOAD_TO_S3)
    given(DEPLOYMENT, *history).when(CompleteStep(ID, Step.VALIDATE_PACKAGE, 1, NOON)).then()


@pytest.mark.parametrize(("step", "attempt"), [(Step.UPLOAD_TO_S3, 2), (Step.GENERATE_METADATA, 1)])
def test_an_answer_to_a_step_or_attempt_ahead_is_too_early(step: Step, attempt: int) -> None:
    given(DEPLOYMENT, *processing(Step.UPLOAD_TO_S3)).when(CompleteStep(ID, step, attempt, NOON)).then_too_early()


def late(step: Step, attempt: int = 1) -> StepFailed:
    at = NOON + POLICY.step_deadline
    reason = f"Step {step} was not finished within 300 s"
    if step is Step.NOTIFY_RUNTIME:
        reason = "Runtime did not become healthy within 300 s"
    wait = {1: 5, 2: 10}.get(attempt)
    failed = step_failed(step, attempt, reason, next_at=at + timedelta(seconds=wait) if wait else None)
    return failed.model_copy(update={"at": at})


def test_a_late_step_fails_its_attempt_and_waits_for_the_next() -> None:
    history = processing(Step.VALIDATE_PACKAGE)
    at = NOON + POLICY.step_deadline
    given(DEPLOYMENT, *history).when(CheckDeadline(ID, at - timedelta(seconds=1))).then()
    given(DEPLOYMENT, *history).when(CheckDeadline(ID, at)).then(late(Step.VALIDATE_PACKAGE))


def test_another_attempt_begins_when_it_is_due() -> None:
    history = (*processing(Step.VALIDATE_PACKAGE), late(Step.VALIDATE_PACKAGE))
    at = NOON + POLICY.step_deadline + timedelta(seconds=5)
    given(DEPLOYMENT, *history).when(CheckDeadline(ID, at - timedelta(seconds=1))).then()
    second = step_started(Step.VALIDATE_PACKAGE, 2, at)
    given(DEPLOYMENT, *history).when(CheckDeadline(ID, at)).then(second)


def test_a_success_of_a_closed_attempt_is_old() -> None:
    history = (*processing(Step.VALIDATE_PACKAGE), late(Step.VALIDATE_PACKAGE))
    given(DEPLOYMENT, *history).when(CompleteStep(ID, Step.VALIDATE_PACKAGE, 1, LATER)).then()
    again = (*history, step_started(Step.VALIDATE_PACKAGE, 2))
    given(DEPLOYMENT, *again).when(CompleteStep(ID, Step.VALIDATE_PACKAGE, 1, LATER)).then()
    given(DEPLOYMENT, *again).when(CompleteStep(ID, Step.VALIDATE_PACKAGE, 2, NOON)).then(
        step_completed(Step.VALIDATE_PACKAGE, 2), step_started(Step.UPLOAD_TO_S3)
    )


def test_the_last_attempt_that_is_late_ends_it_with_a_code_of_our_own() -> None:
    runtime = Step.NOTIFY_RUNTIME
    history = (
        *processing(runtime),
        late(runtime),
        step_started(runtime, 2),
        late(runtime, 2),
        step_started(runtime, 3),
    )
    at = NOON + POLICY.step_deadline
    error = "Runtime did not become healthy within 300 s (attempt 3 of 3)"
    given(DEPLOYMENT, *history).when(CheckDeadline(ID, at)).then(
        late(runtime, 3), aborted(Outcome.FAILED, "step_timeout", error, at=at, step=runtime)
    )


def test_a_runtime_that_may_be_asked_again_is() -> None:
    command = FailStep(ID, Step.NOTIFY_RUNTIME, 1, "Runtime answered 503", retriable=True, at=LATER)
    again = step_failed(Step.NOTIFY_RUNTIME, 1, "Runtime answered 503", next_at=LATER + timedelta(seconds=5))
    given(DEPLOYMENT, *processing(Step.NOTIFY_RUNTIME)).when(command).then(again)


def test_a_runtime_that_stays_away_is_not_the_users_fault() -> None:
    runtime = Step.NOTIFY_RUNTIME
    history = (
        *processing(runtime),
        late(runtime),
        step_started(runtime, 2),
        late(runtime, 2),
        step_started(runtime, 3),
    )
    command = FailStep(ID, runtime, 3, "Runtime answered 503", retriable=True, at=LATER)
    given(DEPLOYMENT, *history).when(command).then(
        step_failed(runtime, 3, "Runtime answered 503", next_at=None),
        aborted(Outcome.FAILED, "runtime_unavailable", "Runtime answered 503 (attempt 3 of 3)", step=runtime),
    )


def test_an_agent_that_cannot_start_ends_it_at_once() -> None:
    command = FailStep(ID, Step.NOTIFY_RUNTIME, 1, "ImportError: no module x", retriable=False, at=LATER)
    given(DEPLOYMENT, *processing(Step.NOTIFY_RUNTIME)).when(command).then(
        step_failed(Step.NOTIFY_RUNTIME, 1, "ImportError: no module x", next_at=None, retriable=False),
        aborted(Outcome.FAILED, "runtime_failed", "ImportError: no module x", step=Step.NOTIFY_RUNTIME),
    )


REJECTION = RejectPackage(ID, ("Invalid APKG format", "Missing required manifest.json"), LATER)
REJECTED = aborted(
    Outcome.FAILED,
    "invalid_package",
    "Package validation failed: Invalid APKG format (+1 more)",
    step=Step.VALIDATE_PACKAGE,
    details=("Invalid APKG format", "Missing required manifest.json"),
)


def test_a_bad_package_is_final() -> None:
    failed = step_failed(Step.VALIDATE_PACKAGE, 1, REJECTED.error, next_at=None, retriable=False)
    given(DEPLOYMENT, *processing(Step.VALIDATE_PACKAGE)).when(REJECTION).then(failed, REJECTED)


def test_a_bad_package_is_final_between_two_attempts_too() -> None:
    history = (*processing(Step.VALIDATE_PACKAGE), late(Step.VALIDATE_PACKAGE))
    given(DEPLOYMENT, *history).when(REJECTION).then(REJECTED)


def test_one_problem_is_the_whole_error() -> None:
    _, ended = (
        given(DEPLOYMENT, *processing(Step.VALIDATE_PACKAGE))
        .when(RejectPackage(ID, ("Invalid APKG format",), LATER))
        .then_types(StepFailed, DeploymentAborted)
    )
    assert isinstance(ended, DeploymentAborted)
    assert ended.error == "Package validation failed: Invalid APKG format"


@pytest.mark.parametrize("history", [processing(Step.NOTIFY_RUNTIME), FINALIZING, COMPLETED])
def test_a_rejection_after_the_packages_steps_is_old(history: tuple[DeploymentEvent, ...]) -> None:
    given(DEPLOYMENT, *history).when(REJECTION).then()


@pytest.mark.parametrize("step", list(Step)[:-1])
def test_before_the_point_of_no_return_it_can_be_cancelled(step: Step) -> None:
    given(DEPLOYMENT, *processing(step)).when(CancelDeployment(ID, LATER)).then(aborted(step=step))


@pytest.mark.parametrize("history", [UNDECIDED, HELD, processing(Step.NOTIFY_RUNTIME)])
def test_a_deleted_app_ends_what_is_open_of_it(history: tuple[DeploymentEvent, ...]) -> None:
    step = DEPLOYMENT.fold(history).step
    ended = aborted(Outcome.FAILED, "app_deleted", "Agent app was deleted", step=step)
    given(DEPLOYMENT, *history).when(AbandonDeployment(ID, LATER)).then(ended)


# ---- finalizing


def test_past_the_point_of_no_return_it_only_completes() -> None:
    given(DEPLOYMENT, *FINALIZING).when(CancelDeployment(ID, LATER)).then_refused(ErrorCode.TOO_LATE)
    given(DEPLOYMENT, *FINALIZING).when(AbandonDeployment(ID, LATER)).then()
    given(DEPLOYMENT, *FINALIZING).when(CompleteStep(ID, Step.NOTIFY_RUNTIME, 1, LATER)).then()
    given(DEPLOYMENT, *FINALIZING).when(FailStep(ID, Step.NOTIFY_RUNTIME, 1, "died", retriable=False, at=LATER)).then()


def test_the_capture_is_asked_for_again_for_ever() -> None:
    history = list(FINALIZING)
    at = NOON
    for attempt in range(2, 30):
        due_at = DEPLOYMENT.fold(history).due_at
        assert due_at is not None
        assert due_at - at <= POLICY.longest_wait
        at = due_at
        history += [step_started(Step.FINALIZE, attempt, at)]
        given(DEPLOYMENT, *history[:-1]).when(CheckDeadline(ID, at)).then(history[-1])


@pytest.mark.parametrize("attempt", [1, 2])
def test_captured_completes_whichever_attempt_asked(attempt: int) -> None:
    history = (*FINALIZING, step_started(Step.FINALIZE, 2))
    last = step_completed(Step.FINALIZE, 2, LATER)
    given(DEPLOYMENT, *history).when(CompleteDeployment(ID, attempt, LATER)).then(last, deployment_completed())


def test_captured_before_it_was_asked_for_is_too_early() -> None:
    given(DEPLOYMENT, *processing(Step.NOTIFY_RUNTIME)).when(CompleteDeployment(ID, 1, LATER)).then_too_early()


# ---- aborting


ABORTING = (*processing(Step.NOTIFY_RUNTIME), aborted(step=Step.NOTIFY_RUNTIME))
CANCELLED = DeploymentCancelled(
    **IDS, at=LATER, agent_app_id=APP, package_id=PACKAGE, code="cancelled", error="Deployment was cancelled"
)
CREDITS = DeploymentPartSettled(**IDS, at=LATER, part="credits")
WITHDRAWN = DeploymentPartSettled(**IDS, at=LATER, part="package")


@pytest.mark.parametrize("money", [SettleCredits(ID, LATER), RefuseCredits(ID, 10, 5, LATER)])
def test_it_ends_when_credits_and_package_are_settled_in_any_order(money: Command) -> None:
    given(DEPLOYMENT, *ABORTING).when(money).then(CREDITS)
    given(DEPLOYMENT, *ABORTING, CREDITS).when(money).then()
    given(DEPLOYMENT, *ABORTING, CREDITS).when(SettlePackage(ID, LATER)).then(CANCELLED)
    given(DEPLOYMENT, *ABORTING).when(SettlePackage(ID, LATER)).then(WITHDRAWN)
    given(DEPLOYMENT, *ABORTING, WITHDRAWN).when(SettlePackage(ID, LATER)).then()
    given(DEPLOYMENT, *ABORTING, WITHDRAWN).when(money).then(CANCELLED)


@pytest.mark.parametrize(
    "news",
    [
        FundDeployment(ID, LATER),
        CompleteStep(ID, Step.NOTIFY_RUNTIME, 1, LATER),
        CompleteStep(ID, Step.VALIDATE_PACKAGE, 1, LATER),
        FailStep(ID, Step.NOTIFY_RUNTIME, 1, "no", retriable=True, at=LATER),
        REJECTION,
        CompleteDeployment(ID, 1, LATER),
        CancelDeployment(ID, LATER),
        AbandonDeployment(ID, LATER),
        OvertakeDeployment(ID, LATER),
        StartDeployment(ID, 4, LATER),
    ],
)
def test_while_aborting_everything_else_is_old(news: Command) -> None:
    given(DEPLOYMENT, *ABORTING).when(news).then()


def test_an_abort_is_said_again_until_both_have_answered() -> None:
    at = LATER + POLICY.ask_again
    given(DEPLOYMENT, *ABORTING).when(CheckDeadline(ID, at - timedelta(seconds=1))).then()
    again = aborted(step=Step.NOTIFY_RUNTIME).model_copy(
        update={"at": at, "repeated": 1, "due_at": at + 2 * POLICY.ask_again}
    )
    after = given(DEPLOYMENT, *ABORTING, CREDITS).when(CheckDeadline(ID, at)).then(again)
    assert after.unsettled == {"package"}


def test_a_failure_ends_as_failed_with_its_code() -> None:
    history = (*UNDECIDED, aborted(Outcome.FAILED, "app_deleted", "Agent app was deleted"), CREDITS)
    (ended,) = given(DEPLOYMENT, *history).when(SettlePackage(ID, LATER)).then_types(DeploymentFailed)
    assert isinstance(ended, DeploymentFailed)
    assert (ended.code, ended.error) == ("app_deleted", "Agent app was deleted")


# ---- the end


@pytest.mark.parametrize("history", [COMPLETED, (*ABORTING, CREDITS, CANCELLED)])
@pytest.mark.parametrize(
    "news",
    [
        QueueDeployment(SUBMITTED),
        FundDeployment(ID, LATER),
        RefuseCredits(ID, 10, 5, LATER),
        StartDeployment(ID, 4, LATER),
        CompleteStep(ID, Step.NOTIFY_RUNTIME, 1, LATER),
        FailStep(ID, Step.NOTIFY_RUNTIME, 1, "no", retriable=True, at=LATER),
        REJECTION,
        CompleteDeployment(ID, 2, LATER),
        SettleCredits(ID, LATER),
        SettlePackage(ID, LATER),
        OvertakeDeployment(ID, LATER),
        AbandonDeployment(ID, LATER),
        CheckDeadline(ID, LATER + timedelta(days=400)),
    ],
)
def test_an_ended_deployment_hears_nothing_new(history: tuple[DeploymentEvent, ...], news: Command) -> None:
    given(DEPLOYMENT, *history).when(news).then()


@pytest.mark.parametrize("history", [COMPLETED, (*ABORTING, CREDITS, CANCELLED)])
def test_an_ended_deployment_cannot_be_cancelled(history: tuple[DeploymentEvent, ...]) -> None:
    given(DEPLOYMENT, *history).when(CancelDeployment(ID, LATER)).then_refused(ErrorCode.ALREADY_FINISHED)


HELD_UP = HoldUpStep(ID, Step.NOTIFY_RUNTIME, 1, NOON, LATER)
RESUMED = ResumeStep(ID, Step.NOTIFY_RUNTIME, 1, LATER)
NOTIFYING = processing(Step.NOTIFY_RUNTIME)


def test_a_runtime_that_is_away_and_back_is_told_once_each() -> None:
    given(DEPLOYMENT, *NOTIFYING).when(HELD_UP).then(step_waiting())
    given(DEPLOYMENT, *NOTIFYING, step_waiting()).when(HELD_UP).then()
    given(DEPLOYMENT, *NOTIFYING, step_waiting()).when(RESUMED).then(step_resumed())
    given(DEPLOYMENT, *NOTIFYING).when(RESUMED).then()


def test_waiting_for_the_runtime_changes_nothing_of_the_deadline() -> None:
    before, after = DEPLOYMENT.fold(NOTIFYING), DEPLOYMENT.fold((*NOTIFYING, step_waiting()))
    assert (after.due_at, after.live, after.status) == (before.due_at, True, "processing")
    assert after.due_at is not None
    late = CheckDeadline(ID, after.due_at)
    given(DEPLOYMENT, *NOTIFYING, step_waiting()).when(late).then_types(StepFailed)


@pytest.mark.parametrize(
    "history", [FINALIZING, COMPLETED, (*NOTIFYING, aborted()), (*NOTIFYING, late(Step.NOTIFY_RUNTIME))]
)
def test_of_a_closed_attempt_it_is_old(history: tuple[DeploymentEvent, ...]) -> None:
    given(DEPLOYMENT, *history).when(HELD_UP).then()
    given(DEPLOYMENT, *history).when(RESUMED).then()
