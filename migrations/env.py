"""Runs migrations, one process at a time, and puts the functions of chat/*.sql in place after them.

Functions are code, not schema: each upgrade puts in place those that the code at hand calls. Their names carry a
number, which changes with what they take or answer, so that two versions of the server can run side by side.

An older version starts anew beside a newer one: during a rolling upgrade, or to go back. Then the database is at a
migration that is not known here. Migrations only add, so the tables will do; they are left as they are, and so is each
function that is there, for the newer version may have put more into it.
"""

import logging
import re
from pathlib import Path

from alembic import context
from flask import current_app
from sqlalchemy import Connection, inspect, text

import chat.models
from chat.extensions import Base, db

FUNCTIONS = Path(chat.__file__).parent
NAMES = re.compile(r"^CREATE OR REPLACE FUNCTION (\w+)\(", re.MULTILINE)
THERE = """
SELECT count(DISTINCT proname) FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace AND proname = ANY (:names)
"""
LOCK = 0x63686174  # "chat": two hosts that start at once migrate one after the other

logger = logging.getLogger("chat.migrations")


def run(connection: Connection) -> None:
    """Migrate, then install the functions, in one transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    newer = unknown_migrations()
    if newer:
        logger.warning("The database is at %s of a newer version: its tables are left as they are", ", ".join(newer))
    else:
        context.run_migrations()
    if context.get_context().as_sql is False and inspect(connection).has_table("entries"):
        for path in sorted(FUNCTIONS.glob("*.sql")):
            install(connection, path.read_text(), only_missing=bool(newer))


def unknown_migrations() -> list[str]:
    """Return where the database stands of which the code at hand has no migration."""
    known = {migration.revision for migration in context.script.walk_revisions()}
    return sorted(set(context.get_context().get_current_heads()) - known)


def install(connection: Connection, functions: str, *, only_missing: bool) -> None:
    """Put functions in place; `only_missing`: if one of them is not there."""
    names = NAMES.findall(functions)
    if not (only_missing and connection.execute(text(THERE), {"names": names}).scalar_one() == len(names)):
        connection.exec_driver_sql(functions.replace("%", "%%"))


with db.engine.connect() as connection:
    configure = current_app.extensions["migrate"].configure_args
    context.configure(connection=connection, target_metadata=Base.metadata, **configure)
    with context.begin_transaction():
        run(connection)
