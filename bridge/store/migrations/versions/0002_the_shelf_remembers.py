"""The shelf remembers, from run to run, which courses were found settled, and by what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns that the version before leaves at their defaults: whatever it wrote is then worked out anew."""
    with op.batch_alter_table("shelf") as table:
        table.add_column(sa.Column("digest", sa.String(length=32), nullable=True))
        table.add_column(sa.Column("settled", sa.Boolean(), server_default=sa.text("false"), nullable=False))
