"""Who may deploy a package that is here already: every status, every holder of its version."""

from uuid import UUID

import pytest

from pac.contracts.errors import ErrorCode, Refused
from pac.packages.domain.again import Reclaimed, check_stored, reclaim
from pac.packages.domain.versions import Holder, Place, Status

P, OTHER, D = (UUID(int=n) for n in range(1, 4))
FREE = Place()


def holder(status: Status, *, kept: bool = False, used: bool = False) -> Holder:
    return Holder(P, status, kept, frozenset({D}) if used else frozenset())


def refusal(package: Holder, place: Place = FREE, *, completed: bool = False) -> ErrorCode:
    with pytest.raises(Refused) as refused:
        reclaim(package, place, completed=completed, stored=True)
    return refused.value.code


@pytest.mark.parametrize("status", [Status.STORED, Status.SUPERSEDED])
@pytest.mark.parametrize("used", [True, False])
def test_what_is_stored_may_be_deployed_whoever_has_its_version_and_whoever_uses_it(status: Status, used: bool) -> None:  # noqa: FBT001
    check_stored(holder(status, used=used))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.UPLOADING, ErrorCode.DEPLOYMENT_OPEN),
        (Status.REJECTED, ErrorCode.PACKAGE_NOT_STORED),
        (Status.WITHDRAWN, ErrorCode.PACKAGE_NOT_STORED),
        (Status.DELETED, ErrorCode.CONFLICT),
    ],
)
def test_what_is_not_stored_may_not(status: Status, code: ErrorCode) -> None:
    with pytest.raises(Refused) as refused:
        check_stored(holder(status))
    assert refused.value.code is code


def test_an_open_deployment_is_named_and_asked_for_again_soon() -> None:
    with pytest.raises(Refused) as refused:
        check_stored(holder(Status.UPLOADING, used=True))
    assert refused.value.retry_after_seconds == 2
    assert refused.value.fields == {"used_by": [{"deployment_id": str(D)}]}


@pytest.mark.parametrize(("stored", "back"), [(True, Status.STORED), (False, Status.UPLOADING)])
def test_a_retry_takes_a_free_version_again_and_goes_on_where_the_bytes_are(stored: bool, back: Status) -> None:  # noqa: FBT001
    withdrawn = holder(Status.WITHDRAWN)
    assert reclaim(withdrawn, Place(), completed=False, stored=stored) == Reclaimed(Place(withdrawn), back)


@pytest.mark.parametrize("place", [Place(Holder(OTHER, Status.STORED)), Place(None, Holder(OTHER, Status.UPLOADING))])
def test_a_version_that_another_has_is_not_taken_from_it(place: Place) -> None:
    assert refusal(holder(Status.WITHDRAWN), place) is ErrorCode.VERSION_TAKEN


@pytest.mark.parametrize("status", [Status.STORED, Status.SUPERSEDED])
def test_a_kept_package_is_retried_without_a_claim(status: Status) -> None:
    """A plain upload, or one that was a release: its version is its own, or another's for good."""
    package = holder(status, kept=True)
    for place in (Place(package), Place(Holder(OTHER, Status.STORED))):
        assert reclaim(package, place, completed=False, stored=True) == Reclaimed()


def test_what_was_never_withdrawn_keeps_its_version() -> None:
    package = holder(Status.STORED)
    assert reclaim(package, Place(package), completed=False, stored=True) == Reclaimed()


def test_what_cannot_be_retried() -> None:
    assert refusal(holder(Status.STORED, kept=True), completed=True) is ErrorCode.NOT_RETRIABLE
    assert refusal(holder(Status.REJECTED)) is ErrorCode.NOT_RETRIABLE
    assert refusal(holder(Status.DELETED)) is ErrorCode.BYTES_GONE
    for status in (Status.UPLOADING, Status.STORED):
        assert refusal(holder(status, used=True)) is ErrorCode.DEPLOYMENT_OPEN
