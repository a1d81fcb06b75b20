"""Who may deploy a package that is here already: a stored one, or one whose deployment ended without a release."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from pac.contracts.errors import ErrorCode, Refused
from pac.packages.domain.versions import Holder, Place, Status

RETRY_AFTER_SECONDS = 2
DEPLOYABLE = frozenset({Status.STORED, Status.SUPERSEDED})


def check_stored(package: Holder) -> None:
    """Claims the package, not the version. Refused (409) unless its bytes are stored, whoever has its version now."""
    match package.status:
        case Status.STORED | Status.SUPERSEDED:
            return
        case Status.UPLOADING:
            raise still_open(package)
        case Status.DELETED:
            raise Refused(ErrorCode.CONFLICT, "Package was deleted at the same moment")
        case Status.REJECTED | Status.WITHDRAWN:
            sentence = "Package is rejected: retry its deployment, or deploy a corrected package"
            raise Refused(ErrorCode.PACKAGE_NOT_STORED, sentence, package_status="rejected")


def still_open(package: Holder) -> Refused:
    """Its end may have been said and not been heard here yet: never a guess."""
    return still_open_of(package.users)


def still_open_of(deployments: Iterable[UUID]) -> Refused:
    used_by = [{"deployment_id": str(one)} for one in sorted(deployments, key=str)]
    return Refused(ErrorCode.DEPLOYMENT_OPEN, used_by=used_by, retry_after_seconds=RETRY_AFTER_SECONDS)


@dataclass(frozen=True)
class Reclaimed:
    """What a retry changes: the version's place, and the package's status; None for what stays."""

    place: Place | None = None
    status: Status | None = None


def reclaim(package: Holder, place: Place, *, completed: bool, stored: bool) -> Reclaimed:
    """A retry takes the version again. Refused (409) while the package is in use, or is no longer to be had.

    `completed`: the deployment to retry has become a release. `stored`: its bytes are at their content address.
    """
    if completed:
        raise Refused(ErrorCode.NOT_RETRIABLE, "Deployment has completed: there is nothing to retry")
    if package.users:
        raise still_open(package)
    if package.status is Status.REJECTED:
        raise Refused(ErrorCode.NOT_RETRIABLE)
    if package.status is Status.DELETED:
        raise Refused(ErrorCode.BYTES_GONE)
    if package.kept or place.has(package.package_id):
        return Reclaimed()
    if place != Place():
        raise Refused(ErrorCode.VERSION_TAKEN)
    back = Status.STORED if stored else Status.UPLOADING
    return Reclaimed(Place(package), back if package.status is Status.WITHDRAWN else None)
