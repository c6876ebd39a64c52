"""What a process of Celery's pool holds: a connection to database and Redis each, files, and a way to tell clients.

Each is made at its first use, so after the fork and in the process that uses it: a duty takes them in its body, never
at import.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from redis import Redis
from sqlalchemy import Engine

from chat import config
from chat.publishing import Publisher
from chat.stores import database_pool, redis_pool
from uploads.storage import Storage, storage_of

__all__ = ["engine", "publisher", "redis", "settings", "storage"]


@cache
def settings() -> Mapping[str, Any]:
    """Return every setting by name."""
    return config.load()


@cache
def engine() -> Engine:
    """Return the database: one connection, for a process does one task at a time."""
    return database_pool({**settings(), "DATABASE_POOL": 1}, checks=True)


@cache
def redis() -> Redis:
    """Return Redis: answers are bytes, a call fails after two seconds and does not try again by itself."""
    return redis_pool(settings())


@cache
def publisher() -> Publisher:
    """Return what tells clients of events, by way of the web processes. To be used after the commit."""
    return Publisher(redis(), settings())


@cache
def storage() -> Storage | None:
    """Return where the files of uploads lie; None where there is no such place."""
    return storage_of(settings())
