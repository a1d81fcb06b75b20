"""The four laws of `flow.md`, in sentences that can be looked at. Each names what was seen when it broke.

Whoever looks says `world.must(holds, Law.X)`, and only where the law has something to say: so the tests can ask that
each was looked at, and that each is broken by some mutant.
"""

from enum import StrEnum


class Law(StrEnum):
    # 1. Terminal means settled
    FAILED_HELD = "failed and the credits are not settled"
    FAILED_OPEN = "failed before packages has closed the submission"
    FAILED_TAKEN = "failed and the version is still taken"
    COMPLETED_UNPAID = "completed and not captured"
    COMPLETED_GONE = "completed, and the package is not stored"
    COMPLETED_WITHOUT_BYTES = "completed without bytes where the release says they are"
    COMPLETED_UNREADY = "completed, and no runtime was ready"
    READY_WITHOUT_RUNNING = "a runtime is said to be ready, and nothing of it runs"
    AFTER_THE_END = "something follows the end of a deployment"
    NEVER_ENDS = "never ends"
    LEFT_OPEN = "has ended, and packages still holds it open"
    REFUSED_402 = "a 402, and it ended otherwise than rejected"
    DECIDED_202 = "a decided 202 was refused"
    TAKEN_400 = "400 'Version already exists' after the client saw every deployment of it fail"
    ROLLBACK = "rollback chose another target than the release before the one that the client saw"

    # 2. deployments is the hub
    UNASKED = "an answer to what the hub did not ask"
    SLOTS = "more deployments than may hold a slot"
    OVERTAKEN = "an older submission became current after a newer one"
    DELETED_APP = "a deployment of a deleted app completed"
    PACKAGES_POINTER = "packages holds another release for current"
    HUB_POINTER = "deployments holds another release for current"
    NOTIFIER_POINTER = "runtime-notifier holds another release for current"

    # 3. The hub's StepCompleted(notify_runtime) is the point of no return
    ABORTED_TOO_LATE = "aborted after the point of no return"
    CAPTURED_TOO_EARLY = "captured before the point of no return"
    CANCEL = "a cancel is answered otherwise than the table of states says"
    SERVES_ELSE = "at rest the runtime serves something else than the current release"
    DELETED_RUNS = "a deleted app runs"
    STOPPED_RUNS = "a stopped app runs"
    PINNED = "a deployment of a pinned app became current"
    ABORTED_RUNS = "an aborted deployment runs for ever"
    BOOKS = "the books say that something else serves than what does"
    PENDING = "a wire is pending for ever"
    OLDER_AGAIN = "an older release is given again while a newer one is on its way"

    # 4. Nobody refuses for not having heard yet; an answer is owed per (deployment, step, attempt)
    ERROR = "an error where there should be an answer"
    PARKED = "parked for ever"
    WORK_LEFT = "work is left for ever"
    NOBODY_ANSWERS = "failed by timeout although the step's work is done: nobody answers"

    # Money
    LEDGER_SUM = "the ledger does not sum to zero"
    BALANCE = "a balance is not the sum of its ledger"
    BELOW_ZERO = "a balance is below zero"
    GRANTED = "more or less is booked than was granted"
    RESERVED = "credits are held for ever"

    # Versions and packages
    BESIDE = "a claim beside another stays for ever"
    TAKEN_FOR_EVER = "a version is taken for ever by a package that never completed"
    LOST_VERSION = "a completed package lost its version to nobody"
    SUPERSEDED = "a failed overwrite took the version from the package it did not replace"
    WITHDRAWN = "a package that completed once was withdrawn"
    WITHOUT_BYTES = "work on a package without bytes: withdrawn, and in use"
    DELETED_CURRENT = "the package of the current release was deleted"
    DELETED_USED = "a package in use was deleted"
    DELETED_BEGINS = "a step of a deleted package begins"
