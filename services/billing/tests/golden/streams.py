"""What happened to holds and accounts, for the rows kept beside this."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pac.billing.domain import ACCOUNT, HOLD, Capture, Grant, Release, Reserve, SignUp
from pac.contracts.topics import ServiceName
from pac.testkit.golden import Story

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = NOON + timedelta(minutes=2)
OWNER = UUID("5b0f1c52-7f1e-4f6f-9d0e-6a1f4c3b2a10")
DEPLOYMENT = UUID("0d4e9a3b-6f28-4c71-8b5a-e7f1c2d3a415")
GRANT = UUID("f7a2b4c6-d8e0-4f13-a5b7-c9d1e3f50516")
CORRECTION = UUID("a8b3c5d7-e9f1-4024-b6c8-dae2f4061627")


def hold(*commands: object) -> Story:
    return Story(ServiceName.BILLING, HOLD, DEPLOYMENT, commands)


STORIES = {
    "hold-captured": hold(Reserve(OWNER, DEPLOYMENT, 5, 1000, NOON), Capture(OWNER, DEPLOYMENT, 2, LATER)),
    "hold-released": hold(Reserve(OWNER, DEPLOYMENT, 5, 5, NOON), Release(OWNER, DEPLOYMENT, LATER)),
    "hold-of-nothing": hold(Reserve(OWNER, DEPLOYMENT, 0, 0, NOON), Capture(OWNER, DEPLOYMENT, 1, LATER)),
    "hold-refused": hold(Reserve(OWNER, DEPLOYMENT, 5, 3, NOON)),
    "account-granted": Story(
        ServiceName.BILLING,
        ACCOUNT,
        OWNER,
        (
            SignUp(OWNER, 1000, NOON),
            Grant(OWNER, GRANT, 50, 1000, LATER),
            Grant(OWNER, CORRECTION, -20, 1050, LATER),
        ),
    ),
}
