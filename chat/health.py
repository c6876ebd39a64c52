"""Whether what a process stands on is there: the database, Redis, somebody who does the tasks, room for uploads."""

import shutil
from functools import lru_cache, partial
from typing import Any

from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chat.inquiry import Inquiry

__all__ = [
    "HEARTBEAT",
    "database_is_there",
    "parts",
    "redis_is_there",
    "room_is_there",
    "storage_is_there",
    "tasks_are_done",
]

HEARTBEAT = "celery:heartbeat"  # what tasks/worker.py leaves in Redis; it goes by itself after a minute without a beat
ANSWER_SECONDS = 1.5  # for all of them together: a load balancer gives a check two
ROOM_BYTES = 268_435_456  # free where DATA_DIR is: below it uploads, and then an embedded database, are about to fail


def parts(node: Any) -> dict[str, bool]:
    """Tell of each part whether it is there; one that does not answer in time is not."""
    return {part: bool(there) for part, there in _inquiry(node).ask(ANSWER_SECONDS).items()}


@lru_cache(maxsize=1)  # a process has one node
def _inquiry(node: Any) -> Inquiry[bool]:
    questions = {
        "database": database_is_there,
        "redis": redis_is_there,
        "tasks": tasks_are_done,
        "storage": storage_is_there,
    }
    return Inquiry({part: partial(ask, node) for part, ask in questions.items()})


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


def storage_is_there(node: Any) -> bool:
    """Tell whether uploads can be stored: there is room where they come in, and the storage elsewhere answers."""
    return room_is_there(node) and bool(node.storage_is_there())


def room_is_there(node: Any) -> bool:
    """Tell whether there is room in DATA_DIR; where it is not set nothing is kept on this host."""
    folder = node.config["DATA_DIR"]
    try:
        return not folder or shutil.disk_usage(folder).free >= ROOM_BYTES
    except OSError:
        return False
