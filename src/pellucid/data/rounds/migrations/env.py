"""Runs migrations on the connection that `database.open_store` has opened; Alembic loads this file."""

from alembic import context

from pellucid.data.rounds.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
