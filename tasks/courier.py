"""Brings push notifications to the users who are due, eight at a time, from one process of all workers together.

So an other side that is slow, or hangs, holds up this one and no other duty; when it took nothing five times in a row,
it is left alone for a minute. Who is due stands in Redis. A note is made right before it is sent, and if it is not
taken nothing is kept of it: the next look at the database finds its user again, for as long as it is worth it.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from redis.exceptions import LockNotOwnedError
from redis.lock import Lock

from tasks import stores
from tasks.absence import absent
from tasks.notes import Due, note_for, remember
from tasks.push import Channel, Later, channels

__all__ = ["bring", "note_due", "open_channels"]

AT_ONCE = 8  # notes under way, a thread each that only waits: eighty a second for an answer in a tenth of one
RUN_SECONDS = 30.0  # of one run: by then the next look goes on, and a worker with one process has done other things
LANE_SECONDS = 15.0  # the lane is free again after a killed process; three times what a channel waits for an answer
MOST = 10_000  # users who are due: a megabyte, and minutes of notes; the next look finds the others
FORGOTTEN = 600  # seconds after which nobody is due any more: what could not be pushed by then is stale
PAUSE = 10  # seconds between two notes to a user
FAILURES = 5  # in a row, after which a channel rests
REST = 60  # seconds

_log = logging.getLogger(__name__)


class _Outcome(NamedTuple):
    """What became of a note. `over`: it need not be sent again. `refusal`: why a channel will never take it."""

    over: bool
    refusal: ValueError | None


def open_channels() -> dict[str, Channel]:
    """Return the channels that are set up and do not rest."""
    found = channels(stores.settings())
    failed = [int(count or 0) for count in stores.redis().mget([_failed(name) for name in found])] if found else []
    return {name: channel for (name, channel), count in zip(found.items(), failed, strict=True) if count < FAILURES}


def note_due(users: Mapping[int, str]) -> bool:
    """Note users, by number with their public ids, to whom something is to be said. False: no more of them fit."""
    redis, key = stores.redis(), _key("push:due")
    if users:
        redis.zadd(key, dict.fromkeys(map(_member, users.items()), time.time()), nx=True)
        redis.expire(key, FORGOTTEN)
    return int(redis.zcard(key)) < MOST


def bring() -> None:
    """Bring notes until nobody is due, if no other process does. Raises Later when a channel goes to rest, ValueError
    when one refuses a note for good.
    """
    end = time.monotonic() + RUN_SECONDS
    while time.monotonic() < end and open_channels() and stores.redis().exists(_key("push:due")):
        lane = stores.redis().lock(_key("push:lane"), timeout=LANE_SECONDS, blocking=False)
        if not lane.acquire():
            return  # whoever has it looks once more after letting it go
        try:
            _work(lane, end)
        finally:
            with suppress(LockNotOwnedError):
                lane.release()


def _work(lane: Lock, end: float) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads, suppress(LockNotOwnedError):
        while time.monotonic() < end and (to := open_channels()) and (users := _due()):
            lane.reacquire()  # for another LANE_SECONDS
            refusals = _handful(threads, to, users)
            stores.redis().zrem(_key("push:due"), *map(_member, users.items()))
            if refusals:
                raise refusals[0]
            if resting := to.keys() - open_channels().keys():
                raise Later(f"nothing got through by {', '.join(resting)}: left alone for {REST} s")


def _due() -> dict[int, str]:
    members: Any = stores.redis().zrange(_key("push:due"), 0, AT_ONCE - 1)
    pairs = (member.decode().split(" ", 1) for member in members)
    return {int(number): name for number, name in pairs}


def _member(user: tuple[int, str]) -> str:
    return f"{user[0]} {user[1]}"


def _handful(threads: ThreadPoolExecutor, to: Mapping[str, Channel], users: Mapping[int, str]) -> list[ValueError]:
    """Bring what these users are to be told, but to none who is there or was told just now; return the refusals."""
    away, redis = absent(users.values()), stores.redis()
    paused = redis.mget([_paused(number) for number in users])
    here = [number for (number, name), pause in zip(users.items(), paused, strict=True) if name in away and not pause]
    dues = [note_for(number, users[number]) for number in here]
    outcomes = list(threads.map(partial(_send, to), dues))
    for due, outcome in zip(dues, outcomes, strict=True):
        if outcome.over:
            remember(due.user_id, due.told)
            redis.set(_paused(due.user_id), 1, ex=PAUSE)
    return [outcome.refusal for outcome in outcomes if outcome.refusal]


def _send(to: Mapping[str, Channel], due: Due) -> _Outcome:
    """Send a note over each channel; over when one took it, or when it would be refused again."""
    over, refusal = due.note is None, None
    for name, channel in to.items() if due.note else ():
        try:
            channel.send(stores.settings(), due.note or {})
            stores.redis().delete(_failed(name))
            over = True
        except Later as error:
            _log.info("A note was not taken by %s: %s", name, error)
            stores.redis().incr(_failed(name))
            stores.redis().expire(_failed(name), REST)
        except ValueError as error:
            over, refusal = True, error
    return _Outcome(over, refusal)


def _failed(channel: str) -> str:
    return _key(f"push:failed:{channel}")


def _paused(user_id: int) -> str:
    return _key(f"push:user:{user_id}")


def _key(name: str) -> str:
    return str(stores.settings()["REDIS_PREFIX"] + name)
