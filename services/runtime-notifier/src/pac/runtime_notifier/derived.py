"""What runtime-notifier derives from its log; `pac log verify` computes it again."""

from pac.eventlog.derived import Derived
from pac.runtime_notifier.domain import DELIVERY
from pac.runtime_notifier.secrets.domain import SECRETS
from pac.runtime_notifier.secrets.laws import secrets_are_as_said

DERIVED = Derived(deciders=(DELIVERY, SECRETS), laws=(secrets_are_as_said,))
