"""How a process reaches its PostgreSQL and its Redis; the processes of Celery, without an event loop, too."""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, create_engine, event

from chat.durability import ENSURE

__all__ = ["CUT_OFF", "PLANNING", "SETTINGS", "database_pool", "redis_pool"]

REDIS_SECONDS = 2.0  # a call to Redis may take; it answers in less than a millisecond or is as good as away
TIMEOUTS = "-c lock_timeout=1000 -c statement_timeout=5000 -c idle_in_transaction_session_timeout=5000"  # milliseconds
SETTINGS = f"{TIMEOUTS} -c TimeZone=UTC"
# The planner is told that a page by index costs hardly more than one of a scan, for the data is in memory, and that no
# statement of ours wants to read a whole table: while one is small it would, and keep that plan when it has grown.
PLANNING = "-c random_page_cost=1.1 -c enable_seqscan=off"
DATABASE_OPTIONS = f"{SETTINGS} {PLANNING}"
# A database whose host is cut off says nothing, and a plain connection would wait for it for a quarter of an hour.
# libpq's names: milliseconds that sent bytes may stay unconfirmed; seconds of silence, between tries, and how many.
CUT_OFF = {"tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}


def database_pool(config: Mapping[str, Any], *, checks: bool = False) -> Engine:
    """Return the pool for units of work. It connects at first use.

    `checks`: each use asks first whether its connection still lives, for processes that may be idle for long.
    """
    engine = create_engine(
        config["DATABASE_URL"],
        pool_size=config["DATABASE_POOL"],
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=checks,
        hide_parameters=True,  # an error's text goes to the log: what people write does not belong there
        connect_args={"options": DATABASE_OPTIONS, "application_name": "chat", "connect_timeout": 5, **CUT_OFF},
    )
    event.listen(engine, "connect", _ensure)
    return engine


def _ensure(connection: Any, _record: Any) -> None:
    connection.execute(ENSURE)
    connection.commit()  # taken back by the first rollback, it would hold until then only


def redis_pool(config: Mapping[str, Any]) -> Redis:
    """Return a pool of connections that never try again by themselves: a Redis that was restarted must be noticed."""
    return Redis.from_url(
        config["REDIS_URL"],
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
