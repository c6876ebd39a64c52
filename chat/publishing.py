"""Publishing events through the one Lua call, for processes with an event loop and without: log.py and Celery's duties.

A duty tells of what it committed by `Publisher(redis, config).tell(events)`: the web processes hear them as they hear
each other's. What Redis does not take, the tail finds in the database, if it has a `change`.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from redis import Redis, RedisError
from redis.exceptions import NoScriptError

from chat.frames import Event

__all__ = ["Publisher", "Publishing", "log_name", "own_channel"]

logger = logging.getLogger(__name__)
KEPT_AS = 2  # the form of a log and what is noted of it
SCRIPT = Path(__file__).with_name("log_publish.lua")


def log_name(scope: str, target: int) -> str:
    """Return the name of a conversation's or a user's log. Versions that keep logs otherwise keep others."""
    return f"log:{scope}{KEPT_AS}:{target}"


def own_channel(prefix: str, process_id: str) -> str:
    """Return the channel that one process alone hears, by which Redis also knows that it listens."""
    return f"{prefix}events:{process_id}"


class Publishing:
    """The one Lua call of a process. `ask(*command)` sends a command to Redis and returns its answer."""

    def __init__(self, redis: Redis, ask: Callable[..., Any], config: Mapping[str, Any], process_id: str):
        self._ask = ask
        self._bounds = (config["LOG_ENTRIES"], config["LOG_BYTES"], config["LOG_SECONDS"])
        self._prefix, self._process_id = config["REDIS_PREFIX"], process_id
        self._script = redis.register_script(SCRIPT.read_text())

    def publish(self, batch: int, events: Iterable[Event]) -> str:
        """Number, log and tell these events; return the epoch, empty if Redis was wiped and nothing was done.

        `batch` is the process's own number of this call, which it hears again. Raises RedisError.
        """
        arguments: list[Any] = [self._prefix, self._process_id, batch, *self._bounds]
        for event in events:
            arguments += (
                log_name(event.scope, event.target) if event.logged else "",
                event.change,
                event.header(),
                event.raw,
            )
        try:
            _, epoch = self._ask("EVALSHA", self._script.sha, 0, *arguments)
        except NoScriptError:  # a Redis that was started anew does not know it
            _, epoch = self._ask("EVAL", self._script.script, 0, *arguments)
        return str(epoch.decode())


class Publisher:
    """Tells the web processes of events, from a process that hears nothing itself."""

    def __init__(self, redis: Redis, config: Mapping[str, Any]):
        self._redis, self._prefix = redis, config["REDIS_PREFIX"]
        self._publishing = Publishing(redis, redis.execute_command, config, secrets.token_hex(6))

    def tell(self, events: list[Event]) -> bool:
        """Publish committed events at once. False: Redis did not take them; what has a `change` comes by the tail."""
        if not events:
            return True
        try:
            return bool(self._publishing.publish(0, events))
        except RedisError as error:
            logger.warning("Redis did not take %d events: %s", len(events), error)
            return False

    def post(self, process_id: str, data: bytes) -> bool:
        """Send something to one web process. False: it is not there. Raises RedisError."""
        return bool(self._redis.publish(own_channel(self._prefix, process_id), data))
