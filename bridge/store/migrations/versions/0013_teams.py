"""Teams: whose pool a seat belongs to, who was asked to take it, and who may give it away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the new tables, and give seats and purchases what they need to know of teams."""
    _teams()
    _batches()
    _columns()


def _teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", _ID, nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("buyer_id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("approval", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
        sa.ForeignKeyConstraint(["buyer_id"], ["persons.id"], name=op.f("fk_teams_buyer_id")),
        sa.UniqueConstraint("buyer_id", name=op.f("uq_teams_buyer_id")),
        sa.UniqueConstraint("key", name=op.f("uq_teams_key")),
    )
    op.create_table(
        "team_members",
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("accepted_at", _MOMENT),
        sa.PrimaryKeyConstraint("team_id", "person_id", name=op.f("pk_team_members")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_team_members_team_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_team_members_person_id")),
        sa.CheckConstraint("role IN ('owner', 'manager', 'viewer')", name=op.f("ck_team_members_known_role")),
    )
    op.create_index("ix_team_members_person_id", "team_members", ["person_id"])
    op.create_index(
        "uq_team_members_one_owner",
        "team_members",
        ["team_id"],
        unique=True,
        sqlite_where=sa.text("role = 'owner'"),
        postgresql_where=sa.text("role = 'owner'"),
    )
    op.create_table(
        "consents",
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("text", sa.String(16), nullable=False),
        sa.Column("given_at", _MOMENT, nullable=False),
        sa.Column("withdrawn_at", _MOMENT),
        sa.PrimaryKeyConstraint("team_id", "person_id", name=op.f("pk_consents")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_consents_team_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_consents_person_id")),
    )
    op.create_index("ix_consents_person_id", "consents", ["person_id"])
    op.create_table(
        "team_tokens",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("made_by", _ID, nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("used_at", _MOMENT),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team_tokens")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_team_tokens_team_id")),
        sa.ForeignKeyConstraint(["made_by"], ["persons.id"], name=op.f("fk_team_tokens_made_by")),
        sa.UniqueConstraint("digest", name=op.f("uq_team_tokens_digest")),
        sa.CheckConstraint("role IN ('manager', 'viewer')", name=op.f("ck_team_tokens_known_role")),
    )
    op.create_index("ix_team_tokens_team_id", "team_tokens", ["team_id"])


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", _ID, nullable=False),
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("pool", sa.String(16), nullable=False),
        sa.Column("item_kind", sa.String(16)),
        sa.Column("item_id", sa.BigInteger()),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("begun_at", _MOMENT),
        sa.Column("done_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_batches_team_id")),
        sa.UniqueConstraint("team_id", "key", name=op.f("uq_batches_team_id_key")),
    )
    op.create_table(
        "batch_rows",
        sa.Column("batch_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("first_name", sa.String(100), nullable=False),
        sa.Column("last_name", sa.String(100), nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("result", sa.String(32)),
        sa.Column("seat_id", _ID),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_batch_rows")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_rows_batch_id")),
        sa.ForeignKeyConstraint(["seat_id"], ["seats.id"], name=op.f("fk_batch_rows_seat_id")),
    )


def _columns() -> None:
    """In place: SQLite would make the tables anew for a batch, and can't while others point at them."""
    number = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    moment = "DATETIME" if op.get_bind().dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    for table, column in (
        ("purchases", f"team_id {number} CONSTRAINT fk_purchases_team_id REFERENCES teams (id)"),
        ("purchases", "pool VARCHAR(16)"),
        ("purchases", f"assign_until {moment}"),
        ("purchases", "picks BOOLEAN DEFAULT false NOT NULL"),
        (
            "seats",
            "waits VARCHAR(16) CONSTRAINT ck_seats_known_wait CHECK (waits IN ('answer', 'approval')) "
            "CONSTRAINT ck_seats_somebody_waits CHECK (waits IS NULL OR person_id IS NOT NULL)",
        ),
        ("seats", f"answer_until {moment}"),
        ("seats", "times INTEGER DEFAULT 0 NOT NULL"),
        ("seats", f"taken_at {moment}"),
        ("seats", "item_kind VARCHAR(16)"),
        ("seats", "item_id BIGINT"),
        ("links", f"seat_id {number} CONSTRAINT fk_links_seat_id REFERENCES seats (id)"),
        ("links", f"team_id {number} CONSTRAINT fk_links_team_id REFERENCES teams (id)"),
        ("audit", "team_id BIGINT"),
    ):
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    op.create_index("ix_purchases_team_id_pool", "purchases", ["team_id", "pool"])
    op.create_index("ix_audit_team_id", "audit", ["team_id"])
