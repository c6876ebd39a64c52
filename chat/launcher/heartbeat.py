"""Does Celery still do tasks? Seen from outside, by the value that its heartbeat task leaves in Redis.

The value's own time is not looked at, only when it last changed here: two clocks need not agree. While Redis is away
nothing can be known, so the patience begins anew with its return.
"""

import redis

__all__ = ["Heartbeat"]

KEY = "celery:heartbeat"
PATIENCE = 45.0  # seconds of silence: four beats, and the half minute that a reconnect may take
LOOK_SECONDS = 5.0  # between two looks at Redis


class Heartbeat:
    """Watches the heartbeat. `is_silent` is asked again and again with a clock that never goes back."""

    def __init__(self, redis_url: str, prefix: str = ""):
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)
        self._key = prefix + KEY
        self._value: object = None
        self._alive_at = float("inf")
        self._looked_at = float("-inf")

    def expect(self, now: float) -> None:
        """Begin the patience anew: Celery was just started."""
        self._alive_at = now

    def is_silent(self, now: float) -> bool:
        """Tell whether there was no beat for PATIENCE seconds. Says so once; the patience then begins anew."""
        if now - self._looked_at >= LOOK_SECONDS and self._beats(now):
            self._alive_at = now
        if now - self._alive_at < PATIENCE:
            return False
        self._alive_at = now
        return True

    def _beats(self, now: float) -> bool:
        self._looked_at = now
        try:
            value = self._redis.get(self._key)
        except redis.RedisError:
            return True
        changed = value is not None and value != self._value
        self._value = value
        return changed
