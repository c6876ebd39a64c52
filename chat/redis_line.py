"""A connection to Redis that belongs to one greenlet, which says one thing after the other on it.

The pool is for everybody else: it asks the kernel whether a connection still lives, takes locks, and wraps every call
in a policy of trying again. With two calls a message that was half the CPU of a lone one.
"""

from typing import Any

from redis import Redis
from redis import TimeoutError as SilenceError

__all__ = ["RedisLine"]


class RedisLine:
    """Connects when it is first used, to where `redis` connects. `seconds`: how long to wait for an answer."""

    def __init__(self, redis: Redis, seconds: float):
        pool = redis.connection_pool
        # Of protocol 3 nothing is used, and its pushes would have to be told from answers.
        settings = pool.connection_kwargs | {"socket_timeout": seconds, "protocol": 2}
        self._connection = pool.connection_class(**settings)

    def say(self, *command: Any) -> None:
        """Send a command. Raises RedisError."""
        self._connection.send_command(*command, check_health=False)

    def hear(self) -> Any:
        """Return what comes next, None if that is not in time. Raises RedisError."""
        try:
            return self._connection.read_response(disconnect_on_error=False)
        except SilenceError:
            return None

    def ask(self, *command: Any) -> Any:
        """Send a command and return its answer. Raises RedisError; the next command connects anew if that is lost."""
        self.say(*command)
        return self._connection.read_response()

    def close(self) -> None:
        """Hang up."""
        self._connection.disconnect()
