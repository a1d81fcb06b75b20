"""What a deployment costs does not depend on how many the account has had: `pac bench scale`, kept as a result.

Three PACs side by side, about a quarter of an hour. PAC_CHAOS_EXISTING lowers the most.
"""

import os

import pytest

from pac.cli.bench.ground import Needs, ground
from pac.cli.bench.measuring import Options
from pac.cli.bench.scaling import scale
from pac.testkit.holds import holding

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
EXISTING = int(os.environ.get("PAC_CHAOS_EXISTING", "100000"))
AT_MOST = 1.1


async def test_a_deployment_costs_the_same_whatever_came_before() -> None:
    law = f"processor time of a deployment at most {AT_MOST} times that with a hundredth of them"
    with holding("scale", fault="none: a full account", load=f"{EXISTING:,} deployments before", law=law) as figures:
        async with ground(Needs.PAC, print) as servers:
            results = [one async for one in scale(servers, Options(existing=EXISTING))]
        figures.update({f"ratio {one.name}": round(one.ratio, 3) for one in results})
        print(figures)  # noqa: T201 - for who runs it
        assert all(one.ratio <= AT_MOST for one in results), figures
