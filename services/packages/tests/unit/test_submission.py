from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given as generated
from hypothesis import settings
from hypothesis import strategies as st

from pac.contracts.base import Source, Step
from pac.contracts.packages import (
    PackageDescribed,
    PackageRejected,
    PackageStored,
    PackageSubmitted,
    PackageValidated,
    PackageWithdrawn,
    Problem,
)
from pac.eventlog.types import Decider
from pac.packages.domain.submission import (
    SUBMISSION,
    AnswerStep,
    Bad,
    Described,
    Finding,
    Stored,
    Submission,
    SubmissionCommand,
    Submit,
    Valid,
    Withdraw,
    step_of,
)
from pac.testkit.given import given

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
D, P, A, APP = (UUID(int=n) for n in range(1, 5))
FAULTS = (Problem(code="checksum_wrong", message="src/main.py is damaged"),)
SUBMIT = Submit(
    deployment_id=D,
    package_id=P,
    account_id=A,
    agent_app_id=APP,
    package_version="1.0.0",
    sha256="a" * 64,
    size_bytes=1000,
    object_key="staging/x",
    source=Source.UPLOAD,
    no=1,
    at=NOON,
)
SUBMITTED = PackageSubmitted(
    account_id=A,
    at=NOON,
    deployment_id=D,
    package_id=P,
    agent_app_id=APP,
    package_version="1.0.0",
    sha256="a" * 64,
    size_bytes=1000,
    object_key="staging/x",
    source=Source.UPLOAD,
    no=1,
)


def validated(attempt: int = 1) -> PackageValidated:
    return PackageValidated(account_id=A, at=NOON, deployment_id=D, package_id=P, attempt=attempt)


def rejected(attempt: int = 1) -> PackageRejected:
    return PackageRejected(account_id=A, at=NOON, deployment_id=D, package_id=P, attempt=attempt, problems=FAULTS)


def withdrawn(*, freed: bool = True) -> PackageWithdrawn:
    return PackageWithdrawn(account_id=A, at=NOON, deployment_id=D, package_id=P, freed=freed)


def answer(finding: Finding, attempt: int = 1) -> AnswerStep:
    return AnswerStep(D, attempt, finding, NOON)


def test_a_deploy_is_submitted_once() -> None:
    given(SUBMISSION).when(SUBMIT).then(SUBMITTED)
    given(SUBMISSION, SUBMITTED).when(SUBMIT).then()


def test_a_rollback_costs_nothing() -> None:
    events = given(SUBMISSION).when(replace(SUBMIT, source=Source.ROLLBACK)).then_types(PackageSubmitted)
    assert isinstance(events[0], PackageSubmitted)
    assert not events[0].billable


def test_a_retry_names_its_first_try_and_costs_what_that_did() -> None:
    first = UUID(int=9)
    for billable in (True, False):
        command = replace(SUBMIT, source=Source.RETRY, billable=billable, retry_of=first)
        (event,) = given(SUBMISSION).when(command).then_types(PackageSubmitted)
        assert isinstance(event, PackageSubmitted)
        assert (event.billable, event.retry_of) == (billable, first)


def test_each_finding_is_said_with_step_and_attempt() -> None:
    stored = PackageStored(account_id=A, at=NOON, deployment_id=D, package_id=P, attempt=2, object_key="packages/a/b")
    told = PackageDescribed(account_id=A, at=NOON, deployment_id=D, package_id=P, attempt=3)
    given(SUBMISSION, SUBMITTED).when(answer(Valid())).then(validated())
    given(SUBMISSION, SUBMITTED).when(answer(Bad(FAULTS))).then(rejected())
    given(SUBMISSION, SUBMITTED, validated()).when(answer(Stored("packages/a/b"), 2)).then(stored)
    given(SUBMISSION, SUBMITTED, validated(), stored).when(answer(Described(), 3)).then(told)


def test_a_new_attempt_of_a_done_step_is_answered_with_its_number() -> None:
    given(SUBMISSION, SUBMITTED, validated(1)).when(answer(Valid(), 2)).then(validated(2))


def test_the_same_attempt_is_answered_once() -> None:
    given(SUBMISSION, SUBMITTED, validated(1)).when(answer(Valid(), 1)).then()


def test_a_rejection_is_final_for_every_later_attempt_whatever_is_found() -> None:
    given(SUBMISSION, SUBMITTED, rejected(1)).when(answer(Valid(), 2)).then(rejected(2))
    given(SUBMISSION, SUBMITTED, rejected(1)).when(answer(Bad(()), 2)).then(rejected(2))
    given(SUBMISSION, SUBMITTED, rejected(1)).when(answer(Stored("x"), 1)).then()


def test_withdrawing_closes_and_nothing_is_said_after_it() -> None:
    given(SUBMISSION, SUBMITTED).when(Withdraw(D, freed=True, at=NOON)).then(withdrawn())
    given(SUBMISSION, SUBMITTED, withdrawn()).when(Withdraw(D, freed=False, at=NOON)).then()
    given(SUBMISSION, SUBMITTED, withdrawn()).when(answer(Valid())).then()


@pytest.mark.parametrize("command", [answer(Valid()), Withdraw(D, freed=True, at=NOON)])
def test_news_about_an_unknown_submission_is_too_early(command: SubmissionCommand) -> None:
    given(SUBMISSION).when(command).then_too_early()


# ---- ▸answer_per_attempt, as a law over any order of news, and its mutant ------------------------------------------

orders = st.lists(
    st.tuples(st.sampled_from([Valid(), Bad(FAULTS), Stored("k"), Described()]), st.integers(1, 3)), max_size=12
)


def check_answers(decider: Decider[Submission, SubmissionCommand, object], asked: list[tuple[Finding, int]]) -> None:  # type: ignore[type-var]
    """Every attempt is answered exactly once, until a rejection; after it only validation is, and always the same."""
    state = decider.fold([SUBMITTED])
    said: list[tuple[Step, int]] = []
    is_rejected = False
    for finding, attempt in asked:
        key = (step_of(finding), attempt)
        events = decider.decide(state, answer(finding, attempt))
        owed = key not in said and not (is_rejected and key[0] is not Step.VALIDATE_PACKAGE)
        assert len(events) == int(owed), f"{key} answered {len(events)} times"
        for event in events:
            assert (event.step, event.attempt) == key  # type: ignore[attr-defined]
            is_rejected = is_rejected or isinstance(event, PackageRejected)
            assert isinstance(event, PackageRejected) or not is_rejected
            said.append(key)
            state = decider.evolve(state, event)


@generated(orders)
@settings(max_examples=200, deadline=None)
def test_every_attempt_gets_its_answer(asked: list[tuple[Finding, int]]) -> None:
    check_answers(SUBMISSION, asked)  # type: ignore[arg-type]


def test_the_law_notices_a_worker_that_answers_a_step_only_once() -> None:
    def once_per_step(now: Submission, command: SubmissionCommand) -> object:
        if isinstance(command, AnswerStep) and any(step is step_of(command.finding) for step, _ in now.answered):
            return []
        return SUBMISSION.decide(now, command)

    mutant = Decider("submission", Submission(), once_per_step, SUBMISSION.evolve)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="answered 0 times"):
        check_answers(mutant, [(Valid(), 1), (Valid(), 2)])  # type: ignore[arg-type]
