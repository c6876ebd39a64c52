"""Whether what PostgreSQL says to be committed survives its crash, as an acknowledgement promises.

`synchronous_commit` may be off for a database or a role: for the sake of others, or by a slip. Every connection of ours
then sets it on for itself, rather than that a server refuses to work: the setting can change under a running fleet, and
all of it would go down with the connections it opens next. Any other value stays, for each waits for the own disk.
`fsync` is the whole server's and cannot be helped from here: it is said aloud, since only tests can want it off.
"""

import logging
from collections.abc import Mapping

from sqlalchemy import Connection, text

__all__ = ["ENSURE", "check", "complaints"]

logger = logging.getLogger(__name__)

ENSURE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
# What a connection began with, and not what it has set for itself since.
SETTINGS = "SELECT name, reset_val FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
LOST = "messages that were acknowledged are lost, and the database may be damaged, when its machine fails"


def check(connection: Connection) -> None:
    """Log what an operator should know of a database: a warning for each complaint."""
    for complaint in complaints({row.name: row.reset_val for row in connection.execute(text(SETTINGS))}):
        logger.warning(complaint)


def complaints(settings: Mapping[str, str]) -> list[str]:
    """Return what to tell an operator of such settings, a sentence each; nothing where all is well."""
    found = []
    if settings.get("fsync") == "off":
        found.append(f"PostgreSQL runs with fsync=off: {LOST}. Set it on, unless this is a test.")
    if settings.get("synchronous_commit") == "off":
        found.append("synchronous_commit is off for this database or role; our own connections set it on.")
    return found
