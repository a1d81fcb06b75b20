"""The rules of versions as laws over a small world: one version of one app, any order of claims, ends and deletes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pac.packages.domain.versions import (
    Claim,
    Holder,
    Moved,
    Place,
    Status,
    claim,
    complete,
    frees,
    superseded_status,
    withdrawn_status,
)

GONE = {Status.WITHDRAWN, Status.REJECTED, Status.DELETED}


class Violation(AssertionError):  # noqa: N818 - of a law
    pass


@dataclass(frozen=True)
class Rules:
    frees: Callable[[Holder, Place, UUID], bool] = frees
    complete: Callable[[Holder, Place], Moved] = complete


@dataclass
class World:
    rules: Rules
    packages: dict[UUID, Holder] = field(default_factory=dict)
    users: dict[UUID, UUID] = field(default_factory=dict)  # open submission → package
    owner: UUID | None = None
    beside: UUID | None = None
    n: int = 0

    def fresh(self) -> UUID:
        self.n += 1
        return UUID(int=self.n)

    def holder(self, package_id: UUID) -> Holder:
        users = frozenset(d for d, p in self.users.items() if p == package_id)
        return replace(self.packages[package_id], users=users)

    def place(self) -> Place:
        return Place(*(self.holder(p) if p else None for p in (self.owner, self.beside)))

    def put(self, place: Place) -> None:
        self.owner = place.holder.package_id if place.holder else None
        self.beside = place.beside.package_id if place.beside else None

    # ---- what may happen -------------------------------------------------------------------------------------------

    def deploy(self, *, overwrite: bool) -> None:
        how = claim(self.place(), overwrite=overwrite, waited=True)
        if how is Claim.TAKEN:
            return
        package_id, deployment_id = self.fresh(), self.fresh()
        self.packages[package_id] = Holder(package_id, Status.UPLOADING)
        if how is Claim.TAKE_BESIDE:
            self.beside = package_id
        else:
            self.owner = package_id
        self.users[deployment_id] = package_id

    def upload(self) -> None:
        if self.place() == Place():
            self.owner = self.fresh()
            self.packages[self.owner] = Holder(self.owner, Status.STORED, kept=True)

    def use_stored(self, at: int) -> None:
        usable = [p for p, h in self.packages.items() if h.status in (Status.STORED, Status.SUPERSEDED)]
        if usable:
            self.users[self.fresh()] = usable[at % len(usable)]

    def step(self, at: int, *, reject: bool) -> None:
        if not self.users:
            return
        package_id = list(self.users.values())[at % len(self.users)]
        if self.packages[package_id].status is Status.UPLOADING:
            status = Status.REJECTED if reject else Status.STORED
            self.packages[package_id] = replace(self.packages[package_id], status=status)

    def abort(self, at: int) -> None:
        if not self.users:
            return
        deployment_id = list(self.users)[at % len(self.users)]
        package = self.holder(self.users[deployment_id])
        before = self.place()
        freed = self.rules.frees(package, before, deployment_id)
        if freed:
            self.put(before.without(package.package_id))
            self.packages[package.package_id] = replace(
                self.packages[package.package_id], status=withdrawn_status(package)
            )
        del self.users[deployment_id]
        if freed and package.kept:
            raise Violation("a package that completed once was withdrawn")
        after = self.holder(package.package_id)
        if after.status is Status.WITHDRAWN and after.users:
            raise Violation("a package was withdrawn under an open deployment")

    def finish(self, at: int) -> None:
        able = [d for d, p in self.users.items() if self.packages[p].status in (Status.STORED, Status.SUPERSEDED)]
        if not able:
            return
        deployment_id = able[at % len(able)]
        package_id = self.users.pop(deployment_id)
        moved = self.rules.complete(self.holder(package_id), self.place())
        self.put(moved.place)
        self.packages[package_id] = replace(self.packages[package_id], kept=True)
        if moved.superseded:
            old = moved.superseded
            self.packages[old.package_id] = replace(self.packages[old.package_id], status=superseded_status(old))

    def delete(self, at: int) -> None:
        able = [p for p in self.packages if not self.holder(p).users and self.packages[p].status is not Status.DELETED]
        if able:
            package_id = able[at % len(able)]
            self.put(self.place().without(package_id))
            self.packages[package_id] = replace(self.packages[package_id], status=Status.DELETED)

    # ---- the laws --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        if self.owner is not None and self.owner == self.beside:
            raise Violation("a package is its own overwrite")
        for package_id in (self.owner, self.beside):
            if package_id is None:
                continue
            package = self.holder(package_id)
            if package.status in GONE and not package.users:
                raise Violation(f"a {package.status} package holds the version and nobody will free it")
            if not package.kept and not package.users:
                raise Violation("a never completed package holds the version and nobody will free it")
        for package_id, package in self.packages.items():
            if package.kept and package.status is Status.STORED and not self.place().has(package_id):
                raise Violation("a completed package lost its version to nobody")
        if self.beside and self.packages[self.beside].kept:
            raise Violation("the overwrite has completed and the version is still the old one's")


actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["deploy", "overwrite", "upload", "use_stored", "store", "reject", "abort", "finish", "delete"]
        ),
        st.integers(0, 5),
    ),
    max_size=25,
)


def run(rules: Rules, story: list[tuple[str, int]]) -> World:
    world = World(rules)
    for what, at in story:
        match what:
            case "deploy":
                world.deploy(overwrite=False)
            case "overwrite":
                world.deploy(overwrite=True)
            case "upload":
                world.upload()
            case "use_stored":
                world.use_stored(at)
            case "store" | "reject":
                world.step(at, reject=what == "reject")
            case "abort":
                world.abort(at)
            case "finish":
                world.finish(at)
            case "delete":
                world.delete(at)
        world.check()
    return world


@given(actions)
@settings(max_examples=500, deadline=None)
def test_the_laws_hold_in_every_order(story: list[tuple[str, int]]) -> None:
    run(Rules(), story)


def first_user_frees(package: Holder, place: Place, deployment_id: UUID) -> bool:
    return frees(replace(package, users=frozenset({deployment_id})), place, deployment_id)


def kept_frees_too(package: Holder, place: Place, deployment_id: UUID) -> bool:
    return frees(replace(package, kept=False), place, deployment_id)


def never_frees(package: Holder, place: Place, deployment_id: UUID) -> bool:
    del package, place, deployment_id
    return False


def never_moves(package: Holder, place: Place) -> Moved:
    del package
    return Moved(place)


MUTANTS = {
    "last_user_frees: the first does": (
        Rules(frees=first_user_frees),
        [("deploy", 0), ("store", 0), ("use_stored", 0), ("abort", 0)],
    ),
    "last_user_frees: also of a completed package": (
        Rules(frees=kept_frees_too),
        [("upload", 0), ("use_stored", 0), ("abort", 0)],
    ),
    "last_user_frees: nobody does": (Rules(frees=never_frees), [("deploy", 0), ("abort", 0)]),
    "overwrite_at_end: it never moves": (
        Rules(complete=never_moves),
        [("upload", 0), ("overwrite", 0), ("store", 0), ("finish", 0)],
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_laws_notice_a_broken_rule(name: str) -> None:
    rules, story = MUTANTS[name]
    run(Rules(), story)
    with pytest.raises(Violation):
        run(rules, story)


def test_the_overwritten_package_keeps_the_version_until_the_overwriting_deployment_completes() -> None:
    world = run(Rules(), [("upload", 0), ("overwrite", 0), ("store", 0)])
    old = world.owner
    assert old is not None
    assert world.beside not in (None, old)
    world.finish(0)
    assert world.owner not in (None, old)
    assert world.packages[old].status is Status.SUPERSEDED


def test_an_overwrite_that_fails_leaves_the_old_one() -> None:
    world = run(Rules(), [("upload", 0), ("overwrite", 0), ("store", 0), ("abort", 0)])
    assert world.owner is not None
    assert world.beside is None
    assert world.packages[world.owner].status is Status.STORED


# ---- claims --------------------------------------------------------------------------------------------------------

P, Q, D = UUID(int=1), UUID(int=2), UUID(int=3)
CLOSED, OPEN = Holder(P, Status.STORED, kept=True), Holder(P, Status.UPLOADING, users=frozenset({D}))
BESIDE = Holder(Q, Status.UPLOADING, users=frozenset({D}))


@pytest.mark.parametrize(
    ("place", "overwrite", "waited", "expected"),
    [
        (Place(), False, False, Claim.TAKE),
        (Place(), True, False, Claim.TAKE),
        (Place(CLOSED), False, False, Claim.TAKEN),
        (Place(CLOSED), True, False, Claim.TAKE_BESIDE),
        (Place(OPEN), False, False, Claim.WAIT),
        (Place(OPEN), False, True, Claim.TAKEN),
        (Place(OPEN), True, False, Claim.WAIT),
        (Place(OPEN), True, True, Claim.TAKE_BESIDE),
        (Place(CLOSED, BESIDE), True, False, Claim.WAIT),
        (Place(CLOSED, BESIDE), True, True, Claim.TAKEN),
        (Place(None, BESIDE), False, True, Claim.TAKEN),
        (Place(None, BESIDE), True, True, Claim.TAKEN),
    ],
)
def test_who_may_claim(place: Place, overwrite: bool, waited: bool, expected: Claim) -> None:  # noqa: FBT001 - a table
    assert claim(place, overwrite=overwrite, waited=waited) is expected
