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

# Somebody we know: a shop customer, or a guest by the address that was typed. One of the two, never both. Two who
# turned out to be one stay two rows, so that the old number is still found: ``merged_into`` is who it became. A guest
# who did gives the address free: ``guest_email`` is then a name that no address can have.
persons = _table(
    "persons",
    Column("id", Id, primary_key=True),
    Column("key", String(32), nullable=False, unique=True),
    Column("customer_id", BigInteger, unique=True),
    Column("guest_email", String(254), unique=True),
    # As the shop last told; what an account is made with.
    Column("email", String(254), nullable=False),
    # What the shop has by now for a customer whose account was made with ``email``, if it is another; not checked.
    Column("shop_email", String(254)),
    Column("first_name", String(100), nullable=False),
    Column("last_name", String(100), nullable=False),
    Column("language", String(16), nullable=False, server_default=text("''")),
    Column("created_at", Moment, nullable=False),
    Column("merged_into", Id, index=True),  # no foreign key: SQLite adds none to a table that others point at
    CheckConstraint("(customer_id IS NULL) <> (guest_email IS NULL)", name="one_identity"),
)

# Which address somebody has proven to be theirs, how and when; and where an operator said that it is not so. Only ever
# added to: a proof is never altered, and goes only when its person is erased.
proofs = _table(
    "proofs",
    Column("id", Id, primary_key=True),
    Column("person_id", Id, ForeignKey("persons.id"), nullable=False, index=True),
    Column("email", String(254), nullable=False, index=True),
    Column("how", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("how IN ('link', 'shop', 'operator', 'withdrawn')", name="known_way"),
)

# The learning account of a person. The row is there before the account is made: it reserves the address, so that two
# workers can't make two accounts for one, and no two persons can share one.
accounts = _table(
    "accounts",
    Column("person_id", Id, ForeignKey("persons.id"), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("totara_id", BigInteger, unique=True),
    Column("made_at", Moment),
    Column("linked", Boolean, nullable=False, server_default=text("false")),  # it was there before us
    Column("vouched", Boolean, nullable=False, server_default=text("false")),  # an operator said whose it is
)

orders = _table(
    "orders",
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("status", String(32), nullable=False),
    Column("person_id", Id, ForeignKey("persons.id")),
    Column("modified", Moment),  # as the shop said when we looked
    Column("looked_at", Moment, nullable=False),
    Column("stands", String(16), nullable=False, server_default=text("'waits'")),
    Column("payment", String(64)),  # what the payment is called by whoever took it
    Column("refunds", Integer, nullable=False, server_default=text("0")),
    Column("renews", BigInteger),  # the subscription that it renews
    Column("trouble", Text),  # what is wrong with its payment
    Column("said", Text),  # what its shop's staff should know: an amount given back that takes no seat
    Column("parked", Text),  # what of it needs a person, and how it is mended
    Column("completed", JSON(none_as_null=True)),  # of a renewal: what was completed before it; NULL: not read yet
    Column("note_begun", String(16)),  # digest of the note that is being written, set before it is sent
    Column("note_written", String(16)),  # digest of the last note known to be on the order
    Column("note_lasting", String(8)),  # digest of what of it no team changes
    Column("note_at", Moment),  # when it was written
)
Index("ix_orders_payment", orders.c.payment)

subscriptions = _table(
    "subscriptions",
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("status", String(32), nullable=False),
    Column("person_id", Id, ForeignKey("persons.id")),
    Column("modified", Moment),
    Column("looked_at", Moment, nullable=False),
    Column("stands", String(16), nullable=False),
    Column("parked", Text),  # as of an order
)

# Which orders belong to which subscription: its first one, its renewals, its switches.
order_subscriptions = _table(
    "order_subscriptions",
    Column("order_id", BigInteger, ForeignKey("orders.id"), primary_key=True, autoincrement=False),
    Column("subscription_id", BigInteger, primary_key=True, autoincrement=False, index=True),
)

# Every line ever seen, of an order or of a subscription, and what it was sold with: a product may be changed or
# deleted later. An order's line is known by its id; a subscription's by its product, since its id changes.
purchases = _table(
    "purchases",
    Column("id", Id, primary_key=True),
    Column("order_id", BigInteger, ForeignKey("orders.id")),
    Column("line_id", BigInteger, nullable=False),
    Column("subscription_id", BigInteger, ForeignKey("subscriptions.id")),
    Column("product_id", BigInteger, nullable=False, server_default=text("0")),
    Column("variation_id", BigInteger, nullable=False, server_default=text("0")),
    Column("name", Text, nullable=False, server_default=text("''")),  # what it was called when it was sold
    Column("offer", JSON, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("paid", Integer, nullable=False, server_default=text("0")),  # units that are paid for and not refunded
    Column("starts", Moment),
    Column("until", Moment),
    Column("grace_until", Moment),  # paid once, not paid now: access goes on until then
    Column("held", Text),  # why all of it rests: a dispute
    Column("team_id", Id, ForeignKey("teams.id")),  # whose open seats these are
    Column("pool", String(16)),  # what it gives and on what terms, as a digest: purchases of one pool are alike
    Column("assign_until", Moment),  # until when its open seats may be given to somebody
    Column("picks", Boolean, nullable=False, server_default=text("false")),  # each seat gives one of its items
    UniqueConstraint("order_id", "line_id"),
    UniqueConstraint("subscription_id", "product_id", "variation_id"),
    CheckConstraint("(order_id IS NULL) <> (subscription_id IS NULL)", name="one_source"),
)

Index("ix_purchases_team_id_pool", purchases.c.team_id, purchases.c.pool)

# What a purchase gives, one row for each thing in Totara.
purchase_items = _table(
    "purchase_items",
    Column("purchase_id", Id, ForeignKey("purchases.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
)

seats = _table(
    "seats",
    Column("id", Id, primary_key=True),
    Column("purchase_id", Id, ForeignKey("purchases.id"), nullable=False),
    Column("unit", Integer, nullable=False),
    Column("person_id", Id, ForeignKey("persons.id"), index=True),  # NULL: open
    Column("role", String(16)),  # as whom the person came to sit here
    Column("since", Moment, nullable=False),
    Column("begun_at", Moment),  # the first moment from which days that count from the first enrolment may count
    Column("until", Moment),  # the end of these days, as far as is known; of a seat that was cut short, when that was
    Column("ended_at", Moment),
    Column("ended_why", Text),
    Column("waits", String(16)),  # it gives nothing yet: for the invited person's answer, or for approval
    Column("answer_until", Moment),  # until when the invitation may be answered
    Column("times", Integer, nullable=False, server_default=text("0")),  # how often somebody took it
    Column("taken_at", Moment),  # when whoever was asked took it
    Column("item_kind", String(16)),  # of a purchase that picks: what was picked
    Column("item_id", BigInteger),
    UniqueConstraint("purchase_id", "unit"),
    CheckConstraint("unit > 0", name="unit_counts_from_one"),
    CheckConstraint("(person_id IS NULL) = (role IS NULL)", name="whoever_sits_has_a_role"),
    CheckConstraint("waits IN ('answer', 'approval')", name="known_wait"),
    CheckConstraint("waits IS NULL OR person_id IS NOT NULL", name="somebody_waits"),
)

# The access we gave in Totara. Only this is ever ended. ``until`` is the end that Totara was told.
access = _table(
    "access",
    Column("person_id", Id, ForeignKey("persons.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("item_id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment),
    Column("verified_at", Moment),
    Column("times", Integer, nullable=False, server_default=text("0")),  # how often it was given anew
    Column("completed", Boolean),
    Column("reference", BigInteger),  # Totara's id of what was made, where ending it needs one
    Column("trouble", Text),
    Column("opened", Boolean),  # whether they have been inside; NULL: not known
    Column("progress", Integer),  # per cent, as last read; NULL: not known
    Column("certificate", Text),  # where it is given: a path on Totara's site
    Column(
        "let_go_at", Moment
    ),  # since when it may end, by a person's word: a team that took the seat back, an operator
    Column("let_go_team", Id),  # the team that took the seat back
    Column("looked_at", Moment),  # when these three were last asked for
    CheckConstraint("state IN ('wanted', 'active', 'suspended')", name="known_state"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="per_cent"),
)
Index("ix_access_state_since", access.c.state, access.c.since)

# What happened, by whom and why: ids, never names or addresses. Only ever added to; triggers see to it.
audit = _table(
    "audit",
    Column("id", Id, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", String(64), nullable=False),  # "bridge", or the operator's name
    Column("event", String(32), nullable=False),
    Column("order_id", BigInteger, index=True),
    Column("subscription_id", BigInteger, index=True),
    Column("person_id", BigInteger, index=True),
    Column("team_id", BigInteger),
    Column("cause", Text, nullable=False),
    Column("facts", JSON, nullable=False),
)
Index("ix_audit_team_id_id", audit.c.team_id, audit.c.id)

# The chain over the entries, in the order in which they were sealed. Made afterwards, so that no writer waits for it.
audit_seals = _table(
    "audit_seals",
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("audit_id", Id, ForeignKey("audit.id"), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
)

# Letters to people, each about one fact: begun before it is sent, sent when the mail server has taken it.
letters = _table(
    "letters",
    Column("person_id", Id, ForeignKey("persons.id"), primary_key=True),
    Column("fact", String(160), primary_key=True),
    Column("begun_at", Moment, nullable=False),
    Column("sent_at", Moment),
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

# --- signing in ------------------------------------------------------------------------------------------------------

# What may be used once, by digest: the ids of tokens, of mailed links, of codes. An insert is the use.
used = _table(
    "used",
    Column("name", String(64), primary_key=True),
    Column("until", Moment, nullable=False),
)
Index("ix_used_until", used.c.until)

# Browsers that are signed in to the bridge, by the digest of what their cookie holds.
visits = _table(
    "visits",
    Column("name", String(64), primary_key=True),
    Column("person_id", Id, ForeignKey("persons.id")),
    Column("customer_id", BigInteger),
    Column("target", String(32), nullable=False),
    Column("form", String(64), nullable=False),  # what its own forms bring along
    Column("began", Moment, nullable=False),
    Column("seen", Moment, nullable=False),
    Column("shop_session", String(64)),  # the shop's name for the login it began with
    Column("sid", String(32)),  # the name by which Totara may end it
)
Index("ix_visits_person_id", visits.c.person_id)
Index("ix_visits_customer_id", visits.c.customer_id)
Index("ix_visits_sid", visits.c.sid)

# Addresses to which somebody asked for a link: as they were typed, until the letter is written or nobody waits for it.
link_requests = _table(
    "link_requests",
    Column("id", Id, primary_key=True),
    Column("email", String(254), nullable=False),
    Column("language", String(16), nullable=False),
    Column("at", Moment, nullable=False),
)

# Links that were mailed, by the digest of their secret. To open one is to delete it.
links = _table(
    "links",
    Column("name", String(64), primary_key=True),
    Column("person_id", Id, ForeignKey("persons.id"), nullable=False),
    Column("email", String(254), nullable=False),
    Column("until", Moment, nullable=False),
    Column("seat_id", Id, ForeignKey("seats.id")),  # the seat that it invites to
    Column("team_id", Id, ForeignKey("teams.id")),  # the team that it asks to help manage
)
Index("ix_links_person_id", links.c.person_id)

# Keys that sign for Totara, each from its own moment on.
signing_keys = _table(
    "signing_keys",
    Column("kid", String(64), primary_key=True),
    Column("private", Text, nullable=False),
    Column("public", JSON, nullable=False),
    Column("made", Moment, nullable=False),
    Column("signs_from", Moment, nullable=False),
)

# --- teams -----------------------------------------------------------------------------------------------------------

# Whoever bought seats for others, and who may give these away. ``key`` stands in addresses: numbers could be guessed.
teams = _table(
    "teams",
    Column("id", Id, primary_key=True),
    Column("key", String(32), nullable=False, unique=True),
    Column("buyer_id", Id, ForeignKey("persons.id"), unique=True),  # a member, whose purchases go here; NULL: has left
    Column("name", String(200), nullable=False),
    Column("approval", Boolean, nullable=False, server_default=text("false")),  # whoever accepts waits for a yes
    Column("made_at", Moment, nullable=False),
)

team_members = _table(
    "team_members",
    Column("team_id", Id, ForeignKey("teams.id"), primary_key=True),
    Column("person_id", Id, ForeignKey("persons.id"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("accepted_at", Moment),  # NULL: was asked, and has not said yes
    CheckConstraint("role IN ('owner', 'manager', 'viewer')", name="known_role"),
)
Index("ix_team_members_person_id", team_members.c.person_id)
Index(
    "uq_team_members_one_owner",
    team_members.c.team_id,
    unique=True,
    sqlite_where=team_members.c.role == "owner",
    postgresql_where=team_members.c.role == "owner",
)

# That somebody lets a team see how they get on, by which version of the text.
consents = _table(
    "consents",
    Column("team_id", Id, ForeignKey("teams.id"), primary_key=True),
    Column("person_id", Id, ForeignKey("persons.id"), primary_key=True),
    Column("text", String(16), nullable=False),
    Column("given_at", Moment, nullable=False),
    Column("withdrawn_at", Moment),
)
Index("ix_consents_person_id", consents.c.person_id)

# What machines of a team show, by digest.
team_tokens = _table(
    "team_tokens",
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("team_id", Id, ForeignKey("teams.id"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("made_by", Id, ForeignKey("persons.id"), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("digest", String(64), nullable=False, unique=True),
    CheckConstraint("role IN ('manager', 'viewer')", name="known_role"),
)
Index("ix_team_tokens_team_id", team_tokens.c.team_id)

# Lists of people who are to be given seats of a pool, and what became of each. ``key`` is the same for the same list.
batches = _table(
    "batches",
    Column("id", Id, primary_key=True),
    Column("team_id", Id, ForeignKey("teams.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("pool", String(16), nullable=False),
    Column("item_kind", String(16)),
    Column("item_id", BigInteger),
    Column("actor", String(64), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("begun_at", Moment),  # NULL: looked at, and not confirmed yet
    Column("done_at", Moment),
    Column("doubts", JSON(none_as_null=True)),  # what is to be looked at before it is confirmed; NULL: nothing
    UniqueConstraint("team_id", "key"),
)

batch_rows = _table(
    "batch_rows",
    Column("batch_id", Id, ForeignKey("batches.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("email", String(254), nullable=False),
    Column("first_name", String(100), nullable=False),
    Column("last_name", String(100), nullable=False),
    Column("language", String(16), nullable=False),
    Column("result", String(32)),  # NULL: not looked at yet
    Column("seat_id", Id, ForeignKey("seats.id")),
)
