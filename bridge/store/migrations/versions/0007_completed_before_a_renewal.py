"""What was completed before a renewal is a fact of its order: read once, and not found out anew with each note."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of renewals that have a note it can't be told any more: what is complete by now may have come after them."""
    op.add_column("orders", sa.Column("completed", sa.JSON()))
    op.execute("UPDATE orders SET completed = '[]' WHERE renews IS NOT NULL AND note_written IS NOT NULL")
