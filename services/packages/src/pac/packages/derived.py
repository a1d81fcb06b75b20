"""What packages derives from its log; `pac log verify` computes it again."""

from pac.eventlog.derived import Derived
from pac.packages.domain.package import PACKAGE
from pac.packages.domain.signers import SIGNERS
from pac.packages.domain.submission import SUBMISSION

DERIVED = Derived(deciders=(SUBMISSION, PACKAGE, SIGNERS))
