"""How far learners are, and where their certificates are, as Totara last told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is not known of anybody yet. SQLite alters a table only by copying it."""
    with op.batch_alter_table("access") as table:
        table.add_column(sa.Column("progress", sa.Integer()))
        table.add_column(sa.Column("certificate", sa.Text()))
        table.add_column(sa.Column("looked_at", sa.DateTime(timezone=True)))
        table.create_check_constraint(op.f("ck_access_per_cent"), "progress BETWEEN 0 AND 100")
