"""Days that count from the first enrolment say from when: their ends are worked out from the seats that pay."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column. Days that began before have none there, and end when they were said to."""
    op.add_column("seats", sa.Column("begun_at", sa.DateTime(timezone=True)))
