"""The fault bench: a whole PAC under load, whose processes are killed, paused and made to crash at named points."""

from pac.testkit.chaos.bench import Bench, Ground, bench
from pac.testkit.chaos.load import Kind, Load
from pac.testkit.chaos.scenario import Row, Scene, Show, under
from pac.testkit.chaos.schedule import Armed, a_few_points, points_of, seed_of
from pac.testkit.chaos.table import table

__all__ = [
    "Armed",
    "Bench",
    "Ground",
    "Kind",
    "Load",
    "Row",
    "Scene",
    "Show",
    "a_few_points",
    "bench",
    "points_of",
    "seed_of",
    "table",
    "under",
]
