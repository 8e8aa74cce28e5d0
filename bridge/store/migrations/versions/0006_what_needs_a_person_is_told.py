"""What of an order or a subscription needs a person is kept beside it, for the note on the order to tell."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """In place, since other tables point at these; the version before leaves the columns empty."""
    for table in ("orders", "subscriptions"):
        op.add_column(table, sa.Column("parked", sa.Text()))
