"""Whether learners have opened what they were given, as Totara last told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is not known of anybody yet."""
    op.add_column("access", sa.Column("opened", sa.Boolean()))
