"""Runs migrations, one process at a time, and puts the functions of chat/*.sql in place after them.

Functions are code, not schema: each upgrade puts in place those that the code at hand calls. Their names carry a
number, which changes with what they take or answer, so that two versions of the server can run side by side.
"""

from pathlib import Path

from alembic import context
from flask import current_app
from sqlalchemy import Connection, inspect, text

import chat.models
from chat.extensions import Base, db

FUNCTIONS = Path(chat.__file__).parent
LOCK = 0x63686174  # "chat": two hosts that start at once migrate one after the other


def run(connection: Connection) -> None:
    """Migrate, then install the functions, in one transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    context.run_migrations()
    if context.get_context().as_sql is False and inspect(connection).has_table("entries"):
        for path in sorted(FUNCTIONS.glob("*.sql")):
            connection.exec_driver_sql(path.read_text().replace("%", "%%"))


with db.engine.connect() as connection:
    configure = current_app.extensions["migrate"].configure_args
    context.configure(connection=connection, target_metadata=Base.metadata, **configure)
    with context.begin_transaction():
        run(connection)
