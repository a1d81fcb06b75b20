"""What deployments derives from its log; `pac log verify` and `pac projections` compute it again."""

from pac.deployments.domain import APP, decider
from pac.deployments.projections import Deployments
from pac.eventlog.derived import Derived

DERIVED = Derived(deciders=(decider(), APP), projections=(Deployments(),))  # a fold does not ask for the policy
