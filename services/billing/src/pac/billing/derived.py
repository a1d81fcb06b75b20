"""What billing derives from its log; `pac log verify` computes it again."""

from pac.billing.domain import ACCOUNT, HOLD
from pac.billing.laws import broken_laws
from pac.eventlog.derived import Derived

DERIVED = Derived(deciders=(HOLD, ACCOUNT), laws=(broken_laws,))
