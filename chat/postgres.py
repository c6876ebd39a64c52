"""One connection to PostgreSQL for one statement that is run over and over, a round trip each.

libpq directly, waiting in gevent's loop: a call costs a third of what it costs through a cursor. The connection is
opened at first need and again after it was lost. Used by the greenlets with a connection of their own (writer, tail,
opening); everything else takes a connection from SQLAlchemy's pool.
"""

import psycopg
from gevent.socket import wait_read, wait_readwrite
from psycopg import pq
from sqlalchemy.engine import make_url

from chat.durability import ENSURE
from chat.stores import CUT_OFF, SETTINGS

__all__ = ["Died", "Lost", "Refused", "Statement", "Unreachable"]

CONNECT_SECONDS = 5
# SQLSTATE classes after which the outcome is not known: connection lost, server shutting down or killed.
ENDING = {"08", "57"}
CANCELED = "57014"  # by statement_timeout
# The statements here look single rows up by index, whatever a planner thinks of empty tables and unknown array lengths.
UNWANTED = ("jit", "enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_hashagg")
PLANNING = " ".join(["-c plan_cache_mode=force_generic_plan", *(f"-c {name}=off" for name in UNWANTED)])


class Lost(Exception):  # noqa: N818 (what happened)
    """The connection is gone. Whether the statement took effect is not known."""


class Died(Lost):
    """The connection ended by itself, maybe long before the statement; it was not the statement that took too long."""


class Unreachable(Lost):
    """No connection could be made: certainly nothing was done."""


class Refused(Exception):  # noqa: N818
    """The database answered with an error; nothing was done. `sqlstate` says which."""

    def __init__(self, sqlstate: str, message: str):
        self.sqlstate = sqlstate
        super().__init__(f"{sqlstate}: {message}")


def conninfo(database_url: str, application: str) -> str:
    """Return libpq's connection string for a SQLAlchemy URL."""
    url = make_url(database_url)
    fields = {
        "host": url.host,
        "port": url.port,
        "dbname": url.database,
        "user": url.username,
        "password": url.password,
        **url.query,
    }
    fields |= {"application_name": application, "connect_timeout": CONNECT_SECONDS, "options": f"{SETTINGS} {PLANNING}"}
    fields |= CUT_OFF
    return " ".join(f"{name}='{_escaped(str(value))}'" for name, value in fields.items() if value is not None)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


class Statement:
    """A prepared statement on a connection of its own. `run` waits for its answer; one call at a time."""

    def __init__(self, database_url: str, sql: str, application: str):
        self._conninfo = conninfo(database_url, application)
        self._sql = sql.encode()
        self._connection: psycopg.Connection[tuple[()]] | None = None

    def run(self, *parameters: bytes | None) -> bytes | None:
        """Run the statement; return its first row's first column as text. Raises Lost or Refused.

        Not to be interrupted from outside (a gevent.Timeout): statement_timeout bounds it. An interrupted call loses
        the connection, because its answer would be taken for the next one's.
        """
        pgconn = (self._connection or self._open()).pgconn
        done = False
        try:
            pgconn.send_query_prepared(b"s", parameters)
            result = _answer(pgconn)
            done = True
        except psycopg.OperationalError as error:
            raise Died(str(error)) from error
        finally:
            if not done:
                self.close()
        if result.status == pq.ExecStatus.TUPLES_OK:
            value: bytes | None = result.get_value(0, 0)
            return value
        raise self._refusal(result)

    def read(self, *parameters: bytes | None) -> bytes | None:
        """Run a statement that changes nothing; as `run`, but a connection that died while idle costs a try only."""
        idle = self._connection
        try:
            return self.run(*parameters)
        except Died:
            if idle is None:
                raise
            return self.run(*parameters)

    def close(self) -> None:
        """Let go of the connection; the next run opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> "psycopg.Connection[tuple[()]]":
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            connection.execute(ENSURE)
            result = connection.pgconn.prepare(b"s", self._sql)
        except psycopg.OperationalError as error:
            raise Unreachable(str(error)) from error
        if result.status != pq.ExecStatus.COMMAND_OK:
            connection.close()
            raise self._refusal(result)
        connection.pgconn.nonblocking = 1
        self._connection = connection
        return connection

    def _refusal(self, result: pq.abc.PGresult) -> Lost | Refused:
        sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        if sqlstate[:2] in ENDING or not sqlstate:
            self.close()
            return (Lost if sqlstate == CANCELED else Died)(result.get_error_message())
        return Refused(sqlstate, result.get_error_message())


def _answer(pgconn: pq.abc.PGconn) -> pq.abc.PGresult:
    """Send what is queued and wait, in gevent's loop, until the one result is there."""
    while pgconn.flush():
        wait_readwrite(pgconn.socket)
        pgconn.consume_input()
    result = None
    while True:
        while pgconn.is_busy():
            wait_read(pgconn.socket)
            pgconn.consume_input()
        more = pgconn.get_result()
        if more is None:
            break
        result = more
    if result is None:
        raise psycopg.OperationalError("the server gave no answer")
    return result
