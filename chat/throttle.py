"""Limits on guessing: tries to log in or register, a minute, per name and per address.

Counted in Redis, so that they hold over all processes. While Redis is away each process counts for itself: guessing
stays slow, and nobody is locked out.
"""

import logging
import time
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_network

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis import ConnectionPool, RedisError

from chat.errors import ChatError

__all__ = ["Throttle"]

log = logging.getLogger(__name__)
ONE_HOUSEHOLD = 64  # bits of an IPv6 address that a provider gives to one customer, who owns all the rest


class Throttle:
    """Counts tries. `per_name` and `per_address` are tries a minute; 0: no limit."""

    def __init__(self, pool: ConnectionPool, prefix: str, per_name: int, per_address: int):
        storage = RedisStorage("redis://", connection_pool=pool, key_prefix=f"{prefix}limits")
        self._shared = FixedWindowRateLimiter(storage)
        self._per_name = RateLimitItemPerMinute(per_name) if per_name else None
        self._per_address = RateLimitItemPerMinute(per_address) if per_address else None

    @cached_property
    def _alone(self) -> FixedWindowRateLimiter:
        return FixedWindowRateLimiter(MemoryStorage())  # made at first need, for it keeps a timer running

    def check(self, what: str, name_key: str, address: str | None) -> None:
        """Count one try of `what` (login, register). Raises ChatError rate_limited.

        The address comes first: what one address makes up in names is then bounded too.
        """
        if self._per_address and address:
            self._count(self._per_address, what, "address", _household(address))
        if self._per_name:
            self._count(self._per_name, what, "name", name_key)

    def _count(self, limit: RateLimitItem, *key: str) -> None:
        try:
            self._count_by(self._shared, limit, key)
        except (RedisError, OSError) as error:
            log.warning("Tries to log in are counted by this process alone: %s", type(error).__name__)
            self._count_by(self._alone, limit, key)

    def _count_by(self, limiter: FixedWindowRateLimiter, limit: RateLimitItem, key: tuple[str, ...]) -> None:
        if not limiter.hit(limit, *key):
            end = limiter.get_window_stats(limit, *key).reset_time
            raise ChatError("rate_limited", retry_after=max(1.0, end - time.time()))


def _household(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((parsed, ONE_HOUSEHOLD), strict=False))
    return address
