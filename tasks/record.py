"""What became of the duties, for /metrics: the hash `celery:duties` in Redis, by the name of the task.

Each value is JSON: `{"runs": n, "failures": n, "lastSuccess": seconds since 1970 or 0, "seconds": of the last run}`.
`runs` counts all, `failures` those of them that raised; a run whose process was killed is counted when it was done
again, and one that asks to be tried again when it was. The hash goes with Redis, and after a week in which nothing was
done: then all counts from nothing.

`watch()` hangs this to Celery's signals, so that no duty has to do anything for it.
"""

import logging
import time
from typing import Any

import redis
from celery import signals
from celery.states import RETRY
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chat.errors import ChatError
from tasks import stores
from tasks.push import Later

__all__ = ["KEY", "watch"]

KEY = "celery:duties"
KEPT = 604_800  # seconds
# KEYS: the hash. ARGV: name, 1 if it failed, now, seconds, how long the hash is kept.
NOTE = """
local kept = redis.call('HGET', KEYS[1], ARGV[1])
local record = kept and cjson.decode(kept) or {runs = 0, failures = 0, lastSuccess = 0}
record.runs = record.runs + 1
record.failures = record.failures + ARGV[2]
if ARGV[2] == '0' then record.lastSuccess = tonumber(ARGV[3]) end
record.seconds = tonumber(ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
redis.call('EXPIRE', KEYS[1], ARGV[5])
"""
# What somebody else who is away raises. It says so in one line; a page for each task would bury everything else.
AWAY = (DBAPIError, PoolTimeoutError, redis.RedisError, BrokerError, OSError, Later)

logger = logging.getLogger(__name__)
_begun: dict[str, float] = {}  # by task id; a process does one at a time


def watch() -> None:
    """Have every run of a task noted, and one that fails for somebody else's sake told in one line."""
    signals.task_prerun.connect(_before)
    signals.task_postrun.connect(_after)
    logging.getLogger("celery.app.trace").addFilter(_OneLine())


def _before(task_id: str, **_: Any) -> None:
    _begun.clear()
    _begun[task_id] = time.monotonic()


def _after(task_id: str, task: Any, state: str, **_: Any) -> None:
    seconds = time.monotonic() - _begun.pop(task_id, time.monotonic())
    if state == RETRY:
        return
    failed = int(state != "SUCCESS")
    try:
        key = stores.settings()["REDIS_PREFIX"] + KEY
        stores.redis().eval(NOTE, 1, key, task.name, failed, time.time(), seconds, KEPT)
    except redis.RedisError as error:
        logger.info("A run of %s is not counted: %s", task.name, error)


class _OneLine(logging.Filter):
    """Leaves Celery's traceback out where somebody else was away."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record; let all pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ChatError):  # of a unit of work, which says so to users
            error = error.__cause__
        if isinstance(error, AWAY) and isinstance(record.args, dict):
            said = str(error).partition("\n")[0]
            record.msg, record.args, record.exc_info = "%s failed: %s", (record.args.get("name"), said), None
        return True
