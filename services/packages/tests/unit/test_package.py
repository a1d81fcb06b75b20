from datetime import UTC, datetime
from uuid import UUID

from pac.contracts.packages import PackageDeleted, PackageSuperseded, PackageUploaded
from pac.packages.domain.package import PACKAGE, Delete, Supersede, Upload
from pac.testkit.given import given

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
P, A, APP, NEW = (UUID(int=n) for n in range(1, 5))
UPLOAD = Upload(P, A, APP, "1.0.0", "a" * 64, 1000, "packages/a/b", NOON)
UPLOADED = PackageUploaded(
    account_id=A,
    at=NOON,
    package_id=P,
    agent_app_id=APP,
    package_version="1.0.0",
    sha256="a" * 64,
    size_bytes=1000,
    object_key="packages/a/b",
)
SUPERSEDED = PackageSuperseded(account_id=A, at=NOON, package_id=P, agent_app_id=APP, by_package_id=NEW)
DELETED = PackageDeleted(account_id=A, at=NOON, package_id=P, agent_app_id=APP)


def test_an_upload_is_said_once() -> None:
    given(PACKAGE).when(UPLOAD).then(UPLOADED)
    given(PACKAGE, UPLOADED).when(UPLOAD).then()


def test_a_package_that_came_by_a_deploy_may_be_superseded_and_deleted() -> None:
    given(PACKAGE).when(Supersede(P, A, APP, NEW, NOON)).then(SUPERSEDED)
    given(PACKAGE, SUPERSEDED).when(Delete(P, A, APP, NOON)).then(DELETED)


def test_old_news_changes_nothing() -> None:
    given(PACKAGE, SUPERSEDED).when(Supersede(P, A, APP, NEW, NOON)).then()
    given(PACKAGE, DELETED).when(Supersede(P, A, APP, NEW, NOON)).then()
    given(PACKAGE, DELETED).when(Delete(P, A, APP, NOON)).then()
