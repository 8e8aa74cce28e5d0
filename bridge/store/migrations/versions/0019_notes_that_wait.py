"""When the last note was written on an order, and what of it no team changes: what a team changes waits for an hour.
And which team took an access back.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them. Of notes of former times neither is known: whatever changes next is told at once."""
    op.add_column("orders", sa.Column("note_lasting", sa.String(length=8), nullable=True))
    op.add_column("orders", sa.Column("note_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("access", sa.Column("let_go_team", sa.BigInteger().with_variant(sa.Integer(), "sqlite")))
