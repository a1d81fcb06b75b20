"""The same seed draws the same crash points; a short run draws only those that it will come by."""

from pac.eventlog.crashpoints import POINTS
from pac.testkit.chaos import a_few_points, points_of
from pac.testkit.chaos.schedule import BROUGHT_ABOUT, OF_A_DAY, SELDOM, draws


def test_the_long_run_crashes_at_every_point_that_nothing_has_to_be_brought_about_for() -> None:
    drawn = [one for points in points_of(draws(3)).values() for one in points]
    assert {one.point for one in drawn} == POINTS.keys() - {*BROUGHT_ABOUT, *OF_A_DAY}
    assert len(drawn) >= 20
    assert points_of(draws(3)) == points_of(draws(3))


def test_a_short_run_draws_one_point_of_each_service_where_every_good_deployment_comes_by() -> None:
    for seed in range(200):
        drawn = a_few_points(draws(seed), limit=4)
        assert len({one.service for one in drawn}) == 4
        assert all(one.service in POINTS[one.point].services for one in drawn)
        assert not [one for one in drawn if one.point.startswith(SELDOM)]
    assert a_few_points(draws(9), limit=4) == a_few_points(draws(9), limit=4)
