"""The audit log refuses to be emptied by TRUNCATE as well, which the triggers for rows are not asked about."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """On PostgreSQL: SQLite has no TRUNCATE, and a DELETE of everything asks for each row."""
    if op.get_bind().dialect.name == "postgresql":
        for table in ("audit", "audit_seals"):
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION bridge_only_added_to()"
            )
