"""The transport of kombu over Redis, mended: a worker that loses its broker with tasks in hand must not end for it.

Of a connection that is lost kombu puts back the tasks that were not acknowledged, and looks for the broker's address in
a record that may be gone by then. To Celery the AttributeError is no loss of a connection: the worker ended.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis import ConnectionError as RedisConnectionError

__all__ = ["Channel", "Transport", "register"]


class Channel(redis.Channel):  # type: ignore[misc]
    """A channel that says of a closed connection that it is closed."""

    def _connparams(self, *given: Any, **named: Any) -> Any:
        if self.connection.client is None:
            raise RedisConnectionError("the connection to the broker was closed")
        return super()._connparams(*given, **named)


class Transport(redis.Transport):  # type: ignore[misc]
    """What `redis://` and `redis+socket://` stand for."""

    Channel = Channel


def register() -> None:
    """Have kombu use it for every broker over Redis in this process."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__name__}"))
