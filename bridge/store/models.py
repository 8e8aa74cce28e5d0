"""The tables. What must not be is forbidden here, by keys and constraints, before any ``if`` elsewhere.

Moments are timezone-aware UTC datetimes. Of a person we keep what a learning account is made with: address and name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import JSON, TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. Refuses a datetime without a timezone; SQLite keeps it as text that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a timezone")
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: 64 bits on both; SQLite counts up by itself only for INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *columns: Any) -> Table:
    return Table(name, metadata, *columns)


# One row per thing owed (see store/work.py). Owed: due_at is set. Needs a person: parked_at is set. Settled: neither.
work = _table(
    "work",
    Column("kind", String(32), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("due_at", Moment),
    Column("hints", Integer, nullable=False, server_default=text("0")),
    Column("lease_until", Moment),
    Column("lease_owner", String(64)),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("first_due_at", Moment),  # since when it is owed without a break
    Column("settled_at", Moment),
    Column("parked_at", Moment),
    Column("reason", Text),
)
Index(
    "ix_work_due",
    work.c.due_at,
    sqlite_where=work.c.due_at.is_not(None),
    postgresql_where=work.c.due_at.is_not(None),
)
Index(
    "ix_work_parked",
    work.c.parked_at,
    sqlite_where=work.c.parked_at.is_not(None),
    postgresql_where=work.c.parked_at.is_not(None),
)

# Somebody we know: a shop customer, or a guest by the address that was typed. One of the two, never both.
persons = _table(
    "persons",
    Column("id", Id, primary_key=True),
    Column("key", String(32), nullable=False, unique=True),
    Column("customer_id", BigInteger, unique=True),
    Column("guest_email", String(254), unique=True),
    # As the shop last told; what an account is made with.
    Column("email", String(254), nullable=False),
    Column("first_name", String(100), nullable=False),
    Column("last_name", String(100), nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("(customer_id IS NULL) <> (guest_email IS NULL)", name="one_identity"),
)

# The learning account of a person. The row is there before the account is made: it reserves the address, so that two
# workers can't make two accounts for one, and no two persons can share one.
accounts = _table(
    "accounts",
    Column("person_id", Id, ForeignKey("persons.id"), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("totara_id", BigInteger, unique=True),
    Column("made_at", Moment),
)

orders = _table(
    "orders",
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("status", String(32), nullable=False),
    Column("person_id", Id, ForeignKey("persons.id")),
    Column("modified", Moment),  # as the shop said when we looked
    Column("looked_at", Moment, nullable=False),
    Column("note_begun", String(16)),  # digest of the note that is being written, set before it is sent
    Column("note_written", String(16)),  # digest of the last note known to be on the order
)

# Every line ever seen, also those that give no course: a product may be deleted later, and then nothing else tells.
purchases = _table(
    "purchases",
    Column("id", Id, primary_key=True),
    Column("order_id", BigInteger, ForeignKey("orders.id"), nullable=False),
    Column("line_id", BigInteger, nullable=False),
    Column("course_id", BigInteger),
    Column("quantity", Integer, nullable=False),
    UniqueConstraint("order_id", "line_id"),
)

seats = _table(
    "seats",
    Column("id", Id, primary_key=True),
    Column("purchase_id", Id, ForeignKey("purchases.id"), nullable=False),
    Column("unit", Integer, nullable=False),
    Column("person_id", Id, ForeignKey("persons.id"), index=True),  # NULL: open
    Column("since", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("ended_why", Text),
    UniqueConstraint("purchase_id", "unit"),
    CheckConstraint("unit > 0", name="unit_counts_from_one"),
)

# The enrolments we gave. Only these are ever suspended.
enrolments = _table(
    "enrolments",
    Column("person_id", Id, ForeignKey("persons.id"), primary_key=True),
    Column("course_id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("since", Moment, nullable=False),
    Column("verified_at", Moment),
    Column("completed", Boolean),
    Column("trouble", Text),
    CheckConstraint("state IN ('wanted', 'active', 'suspended')", name="known_state"),
)

# Our products: hashes of what we sent and of what the shop then showed, and who holds which field.
products = _table(
    "products",
    Column("course_id", BigInteger, primary_key=True, autoincrement=False),
    Column("product_id", BigInteger, unique=True),
    Column("sent", JSON, nullable=False),
    Column("seen", JSON, nullable=False),
    Column("held", JSON, nullable=False),
    Column("image_id", BigInteger),
    Column("image", String(64)),  # fingerprint of the picture that image_id shows
    Column("retired", Boolean, nullable=False, server_default=text("false")),
)

# Totara's categories as product categories.
product_categories = _table(
    "product_categories",
    Column("category_id", BigInteger, primary_key=True, autoincrement=False),
    Column("term_id", BigInteger, nullable=False),
    Column("sent", String(16), nullable=False),
)

# What the last reading found, and what follows from it (see store/shelf.py). Kept from run to run, so that a run works
# out and writes down only what has moved, and read in pieces, so that a catalogue of any size takes the same memory.
shelf = _table(
    "shelf",
    Column("course_id", BigInteger, primary_key=True, autoincrement=False),
    Column("product_id", BigInteger),
    Column("status", String(32)),
    Column("read", Boolean, nullable=False, server_default=text("false")),
    Column("denied", Boolean, nullable=False, server_default=text("false")),
    Column("verdict", Text),
    Column("wanted", JSON(none_as_null=True)),  # NULL: may not be sold; else what the action needs of the product
    Column("action", String(16)),
    Column("reason", Text),
    Column("fields", JSON(none_as_null=True)),
    Column("digest", String(32)),  # of the course and of all that decides about it, when it was last looked at
    Column("settled", Boolean, nullable=False, server_default=text("false")),  # nothing was to do, nothing has moved
)
Index("ix_shelf_action", shelf.c.action)

# Course pictures, copied out of Totara, for the shop to fetch without a token.
pictures = _table(
    "pictures",
    Column("name", String(80), primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("mime", String(64), nullable=False),
)

# Small facts by name: what the watch saw, and the webhook secrets we made ourselves.
notes = _table(
    "notes",
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", Moment, nullable=False),
)
