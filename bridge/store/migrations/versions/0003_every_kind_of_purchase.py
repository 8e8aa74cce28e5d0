"""Every kind of purchase: offers, subscriptions, dates, access to more than courses, the audit log, letters."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the new tables, and carry over what the old ones hold."""
    with op.batch_alter_table("orders") as table:
        table.add_column(sa.Column("stands", sa.String(16), nullable=False, server_default=sa.text("'waits'")))
        table.add_column(sa.Column("payment", sa.String(64)))
        table.add_column(sa.Column("refunds", sa.Integer(), nullable=False, server_default=sa.text("0")))
        table.add_column(sa.Column("renews", sa.BigInteger()))
        table.add_column(sa.Column("trouble", sa.Text()))
        table.add_column(sa.Column("said", sa.Text()))
        table.create_index("ix_orders_payment", ["payment"])
    with op.batch_alter_table("persons") as table:
        table.add_column(sa.Column("language", sa.String(16), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("person_id", _ID),
        sa.Column("modified", _MOMENT),
        sa.Column("looked_at", _MOMENT, nullable=False),
        sa.Column("stands", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_subscriptions_person_id")),
    )
    op.create_table(
        "order_subscriptions",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "subscription_id", name=op.f("pk_order_subscriptions")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_subscriptions_order_id")),
    )
    op.create_index("ix_order_subscriptions_subscription_id", "order_subscriptions", ["subscription_id"])
    _purchases()
    _access()
    _audit()
    op.create_table(
        "letters",
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("fact", sa.String(160), nullable=False),
        sa.Column("begun_at", _MOMENT, nullable=False),
        sa.Column("sent_at", _MOMENT),
        sa.PrimaryKeyConstraint("person_id", "fact", name=op.f("pk_letters")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_letters_person_id")),
    )


def _purchases() -> None:
    """Purchases and seats, made anew around what they held: SQLite can't drop a column's constraint in place."""
    bind = op.get_bind()
    old = bind.execute(sa.text("SELECT id, order_id, line_id, course_id, quantity FROM purchases")).all()
    old_seats = bind.execute(
        sa.text("SELECT id, purchase_id, unit, person_id, since, ended_at, ended_why FROM seats ORDER BY id")
    ).all()
    op.drop_table("seats")
    op.drop_table("purchases")
    op.create_table(
        "purchases",
        sa.Column("id", _ID, nullable=False),
        sa.Column("order_id", sa.BigInteger()),
        sa.Column("line_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger()),
        sa.Column("product_id", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("variation_id", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("name", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("offer", sa.JSON(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("paid", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("starts", _MOMENT),
        sa.Column("until", _MOMENT),
        sa.Column("grace_until", _MOMENT),
        sa.Column("held", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchases")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_purchases_order_id")),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name=op.f("fk_purchases_subscription_id")),
        sa.UniqueConstraint("order_id", "line_id", name=op.f("uq_purchases_order_id_line_id")),
        sa.UniqueConstraint(
            "subscription_id",
            "product_id",
            "variation_id",
            name=op.f("uq_purchases_subscription_id_product_id_variation_id"),
        ),
        sa.CheckConstraint("(order_id IS NULL) <> (subscription_id IS NULL)", name=op.f("ck_purchases_one_source")),
    )
    items = op.create_table(
        "purchase_items",
        sa.Column("purchase_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("item_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("purchase_id", "kind", "item_id", name=op.f("pk_purchase_items")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchases.id"], name=op.f("fk_purchase_items_purchase_id")),
    )
    op.create_table(
        "seats",
        sa.Column("id", _ID, nullable=False),
        sa.Column("purchase_id", _ID, nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("person_id", _ID),
        sa.Column("role", sa.String(16)),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("until", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("ended_why", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seats")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchases.id"], name=op.f("fk_seats_purchase_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_seats_person_id")),
        sa.UniqueConstraint("purchase_id", "unit", name=op.f("uq_seats_purchase_id_unit")),
        sa.CheckConstraint("unit > 0", name=op.f("ck_seats_unit_counts_from_one")),
        sa.CheckConstraint("(person_id IS NULL) = (role IS NULL)", name=op.f("ck_seats_whoever_sits_has_a_role")),
    )
    op.create_index("ix_seats_person_id", "seats", ["person_id"])
    offers = [{"gives": [f"course:{row.course_id}"] if row.course_id else []} for row in old]
    for row, offer in zip(old, offers, strict=True):
        bind.execute(
            sa.text(
                "INSERT INTO purchases (id, order_id, line_id, offer, quantity, paid) "
                "VALUES (:id, :order_id, :line_id, :offer, :quantity, :quantity)"
            ),
            {
                "id": row.id,
                "order_id": row.order_id,
                "line_id": row.line_id,
                "offer": json.dumps(offer),
                "quantity": row.quantity,
            },
        )
    given = [
        {"purchase_id": row.id, "kind": "course", "item_id": row.course_id} for row in old if row.course_id is not None
    ]
    if given:
        op.bulk_insert(items, given)
    for row in old_seats:
        bind.execute(
            sa.text(
                "INSERT INTO seats (id, purchase_id, unit, person_id, role, since, ended_at, ended_why) "
                "VALUES (:id, :purchase_id, :unit, :person_id, :role, :since, :ended_at, :ended_why)"
            ),
            {**row._mapping, "role": "buyer" if row.person_id is not None else None},
        )
    if bind.dialect.name == "postgresql":
        for table in ("purchases", "seats"):
            bind.execute(
                sa.text(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "  # noqa: S608  two names of ours
                    f"GREATEST((SELECT COALESCE(MAX(id), 0) FROM {table}), 1))"
                )
            )


def _access() -> None:
    op.create_table(
        "access",
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("item_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("until", _MOMENT),
        sa.Column("verified_at", _MOMENT),
        sa.Column("times", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("completed", sa.Boolean()),
        sa.Column("reference", sa.BigInteger()),
        sa.Column("trouble", sa.Text()),
        sa.PrimaryKeyConstraint("person_id", "kind", "item_id", name=op.f("pk_access")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_access_person_id")),
        sa.CheckConstraint("state IN ('wanted', 'active', 'suspended')", name=op.f("ck_access_known_state")),
    )
    op.create_index("ix_access_state_since", "access", ["state", "since"])
    op.execute(
        "INSERT INTO access (person_id, kind, item_id, state, since, verified_at, times, completed, trouble) "
        "SELECT person_id, 'course', course_id, state, since, verified_at, "
        "CASE WHEN verified_at IS NULL THEN 0 ELSE 1 END, completed, trouble FROM enrolments"
    )
    op.drop_table("enrolments")


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("order_id", sa.BigInteger()),
        sa.Column("subscription_id", sa.BigInteger()),
        sa.Column("person_id", sa.BigInteger()),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    for column in ("order_id", "subscription_id", "person_id"):
        op.create_index(f"ix_audit_{column}", "audit", [column])
    op.create_table(
        "audit_seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("audit_id", _ID, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seals")),
        sa.ForeignKeyConstraint(["audit_id"], ["audit.id"], name=op.f("fk_audit_seals_audit_id")),
        sa.UniqueConstraint("audit_id", name=op.f("uq_audit_seals_audit_id")),
    )
    _only_added_to()


def _only_added_to() -> None:
    """Triggers that refuse to alter what was written into the audit log."""
    said = "the audit log is only ever added to"
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(
            "CREATE FUNCTION bridge_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{said}'; END $$"
        )
    does = "EXECUTE FUNCTION bridge_only_added_to()" if postgresql else f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
    for table in ("audit", "audit_seals"):
        for event in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} FOR EACH ROW {does}")
    if not postgresql:  # INSERT OR REPLACE deletes without a word to the triggers
        for table, key in (("audit", "id"), ("audit_seals", "number"), ("audit_seals", "audit_id")):
            there = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608  names of ours
            op.execute(f"CREATE TRIGGER {table}_no_replace_{key} BEFORE INSERT ON {table} WHEN {there} {does}")
