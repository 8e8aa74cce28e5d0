"""What about a list of people is to be looked at before it is confirmed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is doubted of no list yet."""
    op.add_column("batches", sa.Column("doubts", sa.JSON(none_as_null=True)))
