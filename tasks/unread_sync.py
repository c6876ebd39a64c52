"""Unread sync: what Redis says of unread counts and last entries is compared with the database, told of, and mended.

A key says of which state it speaks (a tally its stamp, an entry its change), and no reader takes it for another. So one
that is merely old is no fault; one that says something else than the database of the very same state is drift. There
should be none: if there is, somebody else wrote into Redis, or a rule is counted in two ways.

The hash `unread:drift` tells of it, for /metrics: `checked` keys, `found` drifted ones (mended, too), `lastFound` and
`lastRun` in seconds since 1970.
"""

import logging
import time
from typing import Any

import orjson
from celery import shared_task
from sqlalchemy import text

from chat.entries import entry_json
from chat.errors import ChatError
from chat.ids import parse_message
from chat.previews import KEY as LAST
from chat.previews import KEY_SECONDS as LAST_SECONDS
from chat.tally import KEY as UNREAD
from chat.tally import KEY_SECONDS as UNREAD_SECONDS
from chat.tally import Tally, array, read_tally
from tasks import stores

__all__ = ["DRIFT", "SCHEDULE", "compare"]

SCHEDULE = {
    "unread sync": {"task": "tasks.unread_sync.compare", "schedule": 60.0, "options": {"expires": 60.0}},
}
DRIFT = "unread:drift"
CURSOR = "unread:sync"  # where the next run goes on, by pattern
KEPT = 604_800  # seconds, of both
SCANNED = 2_000  # keys of any kind looked through in a step: a millisecond of Redis
STEPS = 50  # of a run and kind of key; the next run goes on
CHECKED = 2_000  # keys compared in a run, about, of each kind: a second of the database
SQL = text(
    "SELECT chat_unread_1(CAST(:users AS bigint[]), CAST(:known AS bigint[]), CAST(:conversations AS bigint[]),"
    " CAST(:seqs AS bigint[]))"
)
ASKED = ("users", "known", "conversations", "seqs")

logger = logging.getLogger(__name__)


@shared_task(name="tasks.unread_sync.compare")  # type: ignore[untyped-decorator]
def compare() -> int:
    """Compare the next keys with the database and mend those that drifted; return how many these were."""
    checked = found = 0
    for pattern, judge, seconds in ((UNREAD, _tallies, UNREAD_SECONDS), (LAST, _entries, LAST_SECONDS)):
        before = checked
        for _ in range(STEPS):
            keys, over = _next_keys(pattern)
            mended = judge(keys) if keys else {}
            _mend(mended, seconds)
            checked, found = checked + len(keys), found + len(mended)
            if over or checked - before >= CHECKED:
                break
    _report(checked, found)
    return found


def _next_keys(pattern: str) -> tuple[dict[str, bytes], bool]:
    """Return the keys of the next step with their values, and whether all have been seen."""
    redis, prefix = stores.redis(), stores.settings()["REDIS_PREFIX"]
    kept: Any = redis.hget(prefix + CURSOR, pattern)
    scanned: Any = redis.scan(int(kept or 0), f"{_escaped(prefix + pattern)}*", SCANNED)
    cursor, names = scanned
    redis.hset(prefix + CURSOR, pattern, cursor)
    redis.expire(prefix + CURSOR, KEPT)
    values: Any = redis.mget(names) if names else []
    held = {name.decode(): value for name, value in zip(names, values, strict=True) if value is not None}
    return {name.removeprefix(prefix + pattern): value for name, value in held.items()}, not cursor


def _escaped(name: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\^-" else sign for sign in name)


def _tallies(keys: dict[str, bytes]) -> dict[str, bytes | None]:
    """Return what the drifted ones among these users' tallies have to be; None: nothing."""
    users = {name: int(name) for name in keys if name.isdecimal()}
    rows = _ask(users=list(users.values()), known=[None] * len(users))
    true = {user: Tally(*tally) for user, *tally in rows}
    wrong: dict[str, bytes | None] = {}
    for name, raw in keys.items():
        said, counted = read_tally(raw), true.get(users.get(name, 0))
        if counted is None or said is None:
            wrong[UNREAD + name] = None
        elif said.stamp == counted.stamp and said != counted:
            wrong[UNREAD + name] = counted.encoded()
    return wrong


def _entries(keys: dict[str, bytes]) -> dict[str, bytes | None]:
    """Return what the drifted ones among these conversations' last entries have to be; None: nothing."""
    places = {name: _place(name, raw) for name, raw in keys.items()}
    asked = [place for place in places.values() if place is not None]
    rows = _ask(conversations=[number for number, _, _ in asked], seqs=[seq for _, seq, _ in asked])
    true = {(row[0], row[3]): row for row in rows}
    wrong: dict[str, bytes | None] = {}
    for name, place in places.items():
        row = None if place is None else true.get(place[:2])
        if place is None or row is None or place[2] > row[4]:
            wrong[LAST + name] = None
        elif place[2] == row[4] and entry_json(row) != keys[name]:
            wrong[LAST + name] = entry_json(row)
    return wrong


def _place(name: str, raw: bytes) -> tuple[int, int, int] | None:
    """Return the (conversation, seq, change) that an encoded entry says of itself; None if it is none of this key's."""
    try:
        entry = orjson.loads(raw)
        number, seq = parse_message(entry["id"])
        return (number, seq, int(entry["change"])) if name == str(number) else None
    except (ValueError, TypeError, KeyError, ChatError):
        return None


def _ask(**arrays: list[Any]) -> list[list[Any]]:
    if not any(arrays.values()):
        return []
    values = {name: array(arrays[name]).decode() if name in arrays else None for name in ASKED}
    with stores.engine().begin() as connection:
        answer = connection.execute(SQL, values).scalar()
    rows: list[list[Any]] = orjson.loads(answer or "[]")
    return rows


def _mend(wrong: dict[str, bytes | None], seconds: int) -> None:
    prefix = stores.settings()["REDIS_PREFIX"]
    for name, value in wrong.items():
        if value is None:
            stores.redis().delete(prefix + name)
        else:
            stores.redis().set(prefix + name, value, ex=seconds)


def _report(checked: int, found: int) -> None:
    pipeline = stores.redis().pipeline(transaction=False)
    key = stores.settings()["REDIS_PREFIX"] + DRIFT
    pipeline.hincrby(key, "checked", checked)
    pipeline.hincrby(key, "found", found)
    pipeline.hset(key, "lastRun", int(time.time()))
    if found:
        logger.warning("%d of %d unread keys in Redis said something else than the database; mended", found, checked)
        pipeline.hset(key, "lastFound", int(time.time()))
    pipeline.expire(key, KEPT)
    pipeline.execute()
