"""What the gateway derives from its log; `pac log verify` computes it again."""

from pac.eventlog.derived import Derived
from pac.gateway.domain import ACCOUNT, APP, KEY

DERIVED = Derived(deciders=(ACCOUNT, APP, KEY))
