from datetime import UTC, datetime
from uuid import UUID

from pac.contracts.deployments import AppPinned, AppReleased, AppStopped
from pac.deployments.domain import APP, PinApp, ReleaseApp, StopApp
from pac.testkit.given import given

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ACCOUNT, AGENT, ID, OTHER = (UUID(int=number) for number in range(1, 5))
PINNED = AppPinned(account_id=ACCOUNT, agent_app_id=AGENT, deployment_id=ID, at=NOON)
RELEASED = AppReleased(account_id=ACCOUNT, agent_app_id=AGENT, at=NOON)


def stopped(release: int) -> AppStopped:
    return AppStopped(account_id=ACCOUNT, agent_app_id=AGENT, release=release, at=NOON)


def test_a_rollback_pins_once_and_another_pins_to_its_own() -> None:
    given(APP).when(PinApp(ACCOUNT, AGENT, ID, NOON)).then(PINNED)
    given(APP, PINNED).when(PinApp(ACCOUNT, AGENT, ID, NOON)).then()
    other = PINNED.model_copy(update={"deployment_id": OTHER})
    given(APP, PINNED).when(PinApp(ACCOUNT, AGENT, OTHER, NOON)).then(other)


def test_only_what_is_pinned_is_released() -> None:
    release = ReleaseApp(ACCOUNT, AGENT, NOON)
    given(APP).when(release).then()
    given(APP, PINNED).when(release).then(RELEASED)
    given(APP, PINNED, RELEASED).when(release).then()


def test_what_is_stopped_stays_so_until_a_higher_release() -> None:
    given(APP).when(StopApp(ACCOUNT, AGENT, 0, NOON)).then()
    given(APP).when(StopApp(ACCOUNT, AGENT, 3, NOON)).then(stopped(3))
    given(APP, stopped(3)).when(StopApp(ACCOUNT, AGENT, 3, NOON)).then()
    given(APP, stopped(3)).when(StopApp(ACCOUNT, AGENT, 4, NOON)).then(stopped(4))
