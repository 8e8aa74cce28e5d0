"""Who is who: addresses that were proven, persons who are one, accounts that were there before us."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table of proofs; nobody is merged, and no account was linked so far."""
    op.add_column("persons", sa.Column("merged_into", _ID))
    op.create_index("ix_persons_merged_into", "persons", ["merged_into"])
    op.add_column("accounts", sa.Column("linked", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.create_table(
        "proofs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proofs")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_proofs_person_id")),
        sa.CheckConstraint("how IN ('link', 'shop', 'operator', 'withdrawn')", name=op.f("ck_proofs_known_way")),
    )
    for column in ("person_id", "email"):
        op.create_index(f"ix_proofs_{column}", "proofs", [column])
    _never_altered()


def _never_altered() -> None:
    """A trigger that refuses to alter a proof. Deleting one is for the erasure of its person."""
    said = "a proof is never altered"
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(
            "CREATE FUNCTION bridge_never_altered() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{said}'; END $$"
        )
    does = "EXECUTE FUNCTION bridge_never_altered()" if postgresql else f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
    op.execute(f"CREATE TRIGGER proofs_no_update BEFORE UPDATE ON proofs FOR EACH ROW {does}")
