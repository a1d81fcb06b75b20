"""The fault bench: a whole PAC under load, whose processes are killed, paused and made to crash at named points."""

from pac.testkit.chaos.bench import Bench, bench
from pac.testkit.chaos.load import Kind, Load
from pac.testkit.chaos.schedule import Armed, points_of, seed_of
from pac.testkit.chaos.table import table

__all__ = ["Armed", "Bench", "Kind", "Load", "bench", "points_of", "seed_of", "table"]
