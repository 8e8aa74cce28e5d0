"""Alembic's entry. The engine comes from :func:`bridge.store.db.migrate`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from bridge.store.models import metadata

engine = context.config.attributes["engine"]

with engine.connect() as connection:
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:
        # Nodes that start together take turns; the lock ends with the transaction.
        connection.execute(text("SELECT pg_advisory_xact_lock(7052016)"))
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, transaction_per_migration=False
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
