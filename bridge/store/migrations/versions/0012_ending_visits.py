"""By what shop and Totara end a visit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is not known of the visits there are."""
    op.add_column("visits", sa.Column("shop_session", sa.String(64)))
    op.add_column("visits", sa.Column("sid", sa.String(32)))
    op.create_index("ix_visits_customer_id", "visits", ["customer_id"])
    op.create_index("ix_visits_sid", "visits", ["sid"])
