"""Who holds a version: flow.md's "Versions and packages", over one `Place`, read and written under the app's lock."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Status(StrEnum):
    """`withdrawn` is shown as `rejected`."""

    UPLOADING = "uploading"
    STORED = "stored"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    DELETED = "deleted"


@dataclass(frozen=True)
class Holder:
    """A package as these rules see it. `kept`: a plain upload, or completed once. `users`: its open submissions."""

    package_id: UUID
    status: Status
    kept: bool = False
    users: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class Place:
    """One version of one app: who has it, and who has claimed it beside, to take it when its deployment completes."""

    holder: Holder | None = None
    beside: Holder | None = None

    def has(self, package_id: UUID) -> bool:
        return package_id in (holder.package_id for holder in (self.holder, self.beside) if holder)

    def without(self, package_id: UUID) -> "Place":
        return Place(*(h if h and h.package_id != package_id else None for h in (self.holder, self.beside)))


class Claim(StrEnum):
    TAKE = "take"
    TAKE_BESIDE = "take_beside"
    WAIT = "wait"  # the holder looks open, but its end may only not have been heard yet
    TAKEN = "taken"


def claim(place: Place, *, overwrite: bool, waited: bool) -> Claim:
    if place.holder is None and place.beside is None:
        return Claim.TAKE
    looks_open = bool(place.beside or (place.holder and place.holder.users))
    if looks_open and not waited:
        return Claim.WAIT
    if overwrite and place.beside is None:
        return Claim.TAKE_BESIDE
    return Claim.TAKEN


def frees(package: Holder, place: Place, deployment_id: UUID) -> bool:
    """Whether the end of this submission gives the version back: the last user of a never completed package does."""
    return not package.kept and not package.users - {deployment_id} and place.has(package.package_id)


def withdrawn_status(package: Holder) -> Status:
    """What a package is after its version was given back; what was said for good stays."""
    return package.status if package.status in (Status.REJECTED, Status.DELETED) else Status.WITHDRAWN


@dataclass(frozen=True)
class Moved:
    """The place after a deployment has completed, and the package that lost the version to it, if any."""

    place: Place
    superseded: Holder | None = None


def complete(package: Holder, place: Place) -> Moved:
    if place.beside is None or place.beside.package_id != package.package_id:
        return Moved(place)
    return Moved(Place(holder=package), superseded=place.holder)


def superseded_status(package: Holder) -> Status:
    return package.status if package.status in (Status.REJECTED, Status.DELETED) else Status.SUPERSEDED
