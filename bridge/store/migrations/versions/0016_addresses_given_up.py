"""Which address the shop has by now for a customer, and of which accounts an operator said whose they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_AUDIT = sa.table("audit", sa.column("event"), sa.column("actor"), sa.column("facts", sa.JSON))
_ACCOUNTS = sa.table("accounts", sa.column("totara_id"), sa.column("linked"), sa.column("vouched"))


def upgrade() -> None:
    """Add both. Which accounts operators linked so far is in the audit log."""
    op.add_column("persons", sa.Column("shop_email", sa.String(254)))
    op.add_column("accounts", sa.Column("vouched", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    said = sa.select(_AUDIT.c.facts).where(_AUDIT.c.event == "account linked", _AUDIT.c.actor != "bridge")
    for facts in op.get_bind().execute(said).scalars().all():
        theirs = (_ACCOUNTS.c.totara_id == facts["user"], _ACCOUNTS.c.linked.is_(True))
        op.execute(sa.update(_ACCOUNTS).where(*theirs).values(vouched=True))
