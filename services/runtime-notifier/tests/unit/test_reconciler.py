import pytest

from pac.runtime_notifier.reconciler import is_gone
from pac.runtime_notifier.runtime import Health, Unclear, Unknown


@pytest.mark.parametrize(
    ("health", "gone"),
    [
        (Unknown(), True),
        (Health("stopped", healthy=False, message=None), True),  # replaced by a release that was then stopped itself
        (Health("healthy", healthy=True, message=None), False),
        (Health("failed", healthy=False, message="it broke"), False),  # the runtime restarts it, or has told why not
        (Health("starting", healthy=False, message=None), False),
        (Unclear("not reached"), False),
    ],
)
def test_what_serves_is_given_again_when_the_runtime_has_forgotten_or_stopped_it(
    health: Health | Unknown | Unclear,
    gone: bool,  # noqa: FBT001 - a table
) -> None:
    assert is_gone(health) is gone
