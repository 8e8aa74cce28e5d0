"""A team need not have a buyer: whoever left it buys for it no more. And a team's history is found in its order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Let buyers go who are no members, or none any more."""
    if op.get_bind().dialect.name == "sqlite":
        _teams_anew()
    else:
        op.alter_column("teams", "buyer_id", nullable=True)
    op.execute(
        "UPDATE teams SET buyer_id = NULL WHERE NOT EXISTS (SELECT 1 FROM team_members WHERE team_id = teams.id "
        "AND person_id = teams.buyer_id AND accepted_at IS NOT NULL)"
    )
    op.drop_index("ix_audit_team_id", "audit")
    op.create_index("ix_audit_team_id_id", "audit", ["team_id", "id"])


def _teams_anew() -> None:
    """SQLite alters a column only by making its table anew. Others point at this one, under the name that it has:
    until the end of the transaction they may point at nothing.
    """
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TABLE kept_teams AS SELECT id, key, buyer_id, name, approval, made_at FROM teams")
    op.drop_table("teams")
    op.create_table(
        "teams",
        sa.Column("id", _ID, nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("buyer_id", _ID),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("approval", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
        sa.ForeignKeyConstraint(["buyer_id"], ["persons.id"], name=op.f("fk_teams_buyer_id")),
        sa.UniqueConstraint("buyer_id", name=op.f("uq_teams_buyer_id")),
        sa.UniqueConstraint("key", name=op.f("uq_teams_key")),
    )
    op.execute(
        "INSERT INTO teams (id, key, buyer_id, name, approval, made_at) "
        "SELECT id, key, buyer_id, name, approval, made_at FROM kept_teams"
    )
    op.drop_table("kept_teams")
