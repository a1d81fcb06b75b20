"""How long deployments of a minute took, as an exact sum: one of floating numbers depends on their order.

What is there is a sum of whole microseconds, and rounding finds it again. The code of before writes into this column
as it did.
"""

from alembic import op

revision = "deployments_0002"
down_revision = "deployments_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE read.minutes ALTER COLUMN seconds TYPE numeric(20, 6)")
