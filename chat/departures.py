"""`gone_at` of logins: up to when a device that has gone had taken everything. Written a second late and together.

A killed process writes none: the device is then handed more than it lacks, never less.
"""

import logging

import gevent
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

__all__ = ["Departures"]

logger = logging.getLogger(__name__)
EVERY = 1.0  # seconds
MOST = 50_000  # departures that wait for a database that is away; beyond, the oldest are let go
WRITE = text("""
    UPDATE logins l
    SET gone_at = greatest(l.gone_at, 'epoch'::timestamptz + g.us * interval '1 microsecond'), used_at = now()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS bigint[])) AS g(id, us) WHERE l.id = g.id
""")


class Departures:
    """Collects and writes."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._gone: dict[int, int] = {}
        self.loops = {"departures": self._run}

    def note(self, login_id: int, taken_us: int) -> None:
        """A session of this login has ended that had taken everything up to this time (microseconds since 1970)."""
        self._gone[login_id] = max(taken_us, self._gone.get(login_id, 0))
        if len(self._gone) > MOST:
            del self._gone[next(iter(self._gone))]

    def write(self) -> None:
        """Write what was noted."""
        gone, self._gone = self._gone, {}
        if not gone:
            return
        ids = sorted(gone)
        try:
            with self._engine.begin() as connection:
                connection.execute(WRITE, {"ids": ids, "times": [gone[login_id] for login_id in ids]})
        except SQLAlchemyError as error:
            logger.warning("The departures of %d logins wait for the database: %s", len(gone), error.__class__.__name__)
            self._gone = {**gone, **self._gone}

    def _run(self) -> None:
        while True:
            gevent.sleep(EVERY)
            self.write()
