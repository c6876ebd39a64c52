"""Whether what a process stands on is there: the database, Redis, and somebody who does the tasks."""

from typing import Any

from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

__all__ = ["database_is_there", "redis_is_there", "tasks_are_done"]

HEARTBEAT = "celery:heartbeat"  # what tasks/worker.py leaves in Redis; it goes by itself after a minute without a beat


def database_is_there(node: Any) -> bool:
    """Tell whether the database answers."""
    try:
        with node.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


def redis_is_there(node: Any) -> bool:
    """Tell whether Redis answers."""
    try:
        return bool(node.redis.ping())
    except (RedisError, OSError):
        return False


def tasks_are_done(node: Any) -> bool:
    """Tell whether a Celery worker was alive within the last minute; not so while Redis is away."""
    try:
        return bool(node.redis.exists(node.config["REDIS_PREFIX"] + HEARTBEAT))
    except (RedisError, OSError):
        return False
