"""How often a task was begun and never ended: one that kills its process each time is not begun for ever.

The worker puts a task back whose process was lost, for it was hardly the task's fault; a picture that makes Pillow end
the process would be put back without end. Counted is, in Redis, what is done: the task with these arguments, however
often it is sent; a task without arguments by its id, as several of them may run side by side.
"""

import json
import logging
from hashlib import sha256
from typing import Any

from celery import Task
from redis import RedisError

from tasks import stores

__all__ = ["Attempted", "GivenUp", "attempts_key", "given_up"]

MOST = 3  # times; a worker that is killed for another reason seldom is in the middle of the same task
KEPT = 3_600  # seconds from the first time, after which it may be tried again

_log = logging.getLogger(__name__)


class GivenUp(Exception):  # noqa: N818 (what became of it)
    """This was begun some times, and its process was lost each time."""


class Attempted(Task):  # type: ignore[misc]
    """What every task of the worker is. Raises GivenUp instead of doing what has taken its process along too often."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do the task, by a worker or called by another one."""
        key = stores.settings()["REDIS_PREFIX"] + attempts_key(self.name, args, self.request.id)
        if _begin(key) > MOST:
            raise GivenUp(f"{self.name} was begun {MOST} times and took its process along each time")
        try:
            return self.run(*args, **kwargs)
        finally:
            _end(key)


def given_up(name: str, args: tuple[Any, ...]) -> bool:
    """Tell whether a task with these arguments was given up within the last hour. Raises RedisError."""
    return int(stores.redis().get(stores.settings()["REDIS_PREFIX"] + attempts_key(name, args, None)) or 0) > MOST


def attempts_key(name: str, args: tuple[Any, ...], task_id: str | None) -> str:
    """Return the key, after the prefix, under which it is counted how often this was begun and not ended."""
    mark = sha256(json.dumps(args).encode()).hexdigest()[:32] if args else task_id
    return f"celery:begun:{name}:{mark}"


def _begin(key: str) -> int:
    try:
        begun = int(stores.redis().incr(key))
        if begun == 1:
            stores.redis().expire(key, KEPT)
    except RedisError as error:
        _log.info("A beginning is not counted: %s", error)
        return 0
    return begun


def _end(key: str) -> None:
    try:
        stores.redis().delete(key)
    except RedisError as error:
        _log.info("An end is not counted: %s", error)
