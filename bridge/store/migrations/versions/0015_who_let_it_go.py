"""When a person said that an access may end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what nobody has said yet."""
    op.add_column("access", sa.Column("let_go_at", sa.DateTime(timezone=True)))
