"""What runtime-notifier derives from its log; `pac log verify` computes it again."""

from pac.eventlog.derived import Derived
from pac.runtime_notifier.domain import DELIVERY

DERIVED = Derived(deciders=(DELIVERY,))
