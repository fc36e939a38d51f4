"""Alembic environment: migrates over the connection that gateway.store.database hands in."""

from alembic import context
from sqlalchemy import text

from gateway.store.tables import Base

MIGRATION_LOCK = 0x58535452
"""Any fixed number: gateways that start together on one PostgreSQL migrate one after the other."""

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True
)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    context.run_migrations()
connection.commit()
