"""Uploads that no message uses, and files that no upload knows: deleted after UPLOAD_UNUSED_HOURS.

Safe against a message that is being written: the writer holds the row of its upload until its commit, and the sweep
takes none that is held and none that an entry uses. It also notes which uploads are used, because the writer, who has
conversations locked, writes nothing to rows that others may hold. The row goes before its files; what a crash leaves
between the two is found by the second sweep, which looks at a few shards each time and comes round to all of them in
some three hours.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from celery import shared_task
from sqlalchemy import text

from tasks import stores
from uploads.storage import SHARDS, Storage, key_of, thumbnail_key_of

__all__ = ["SCHEDULE", "files", "unused"]

log = logging.getLogger(__name__)
EVERY = 600.0  # seconds
BATCH = 100  # uploads of one transaction: their rows are locked for a few milliseconds
BATCHES = 50  # of one run; the next one goes on
NOTED = 1_000  # uploads of one transaction that only notes that they are used: some 10 ms
AT_A_TIME = 16  # shards of one run, of 256
RUN_SECONDS = 200.0  # after which a run begins nothing more: at 270 it would be ended
UNFINISHED = 3_600  # seconds after which what is still in the incoming folder belongs to a killed process
SCHEDULE = {
    "unused uploads": {"task": "tasks.orphans.unused", "schedule": EVERY},
    "files without uploads": {"task": "tasks.orphans.files", "schedule": EVERY},
}


@shared_task(name="tasks.orphans.unused")  # type: ignore[untyped-decorator]
def unused() -> None:
    """Note which uploads are used, and delete those that no message used in time."""
    _note_used()
    storage = stores.storage()
    for _ in range(BATCHES):
        keys = _deleted_rows()
        if storage is not None:
            for key in keys:
                storage.delete(key)
        if not keys:
            return


@shared_task(name="tasks.orphans.files")  # type: ignore[untyped-decorator]
def files(shards: Sequence[str] = ()) -> None:
    """Delete files without a row in some shards, by default in those whose turn it is.

    They are taken in any order: where there are more files than a run can look at, no shard is always the last.
    """
    storage, until = stores.storage(), time.monotonic() + RUN_SECONDS
    if storage is None:
        return
    storage.incoming.sweep(UNFINISHED)
    first = int(time.time() / EVERY) * AT_A_TIME % len(SHARDS)
    turn = shards or SHARDS[first : first + AT_A_TIME]
    for shard in random.sample(turn, len(turn)):
        _sweep(storage, shard, until)


def _note_used() -> None:
    for _ in range(BATCHES):
        with stores.engine().begin() as connection:
            if connection.execute(NOTE, {"batch": NOTED}).rowcount < NOTED:
                return


def _deleted_rows() -> list[str]:
    with stores.engine().begin() as connection:
        values = {"hours": stores.settings()["UPLOAD_UNUSED_HOURS"], "batch": BATCH}
        locked = list(connection.execute(LOCK, values).scalars())
        rows = connection.execute(DELETE, {"ids": locked}).all()
    keys = [key_of(row.kind, row.name, row.extension) for row in rows]
    return keys + [thumbnail_key_of(row.name) for row in rows if row.kind == "image"]


def _sweep(storage: Storage, shard: str, until: float) -> None:
    for part in _batches(storage.keys(shard, stores.settings()["UPLOAD_UNUSED_HOURS"] * 3_600)):
        if time.monotonic() > until:
            return
        with stores.engine().connect() as connection:
            known = set(connection.execute(KNOWN, {"names": [_name_of(key) for key in part]}).scalars())
        for key in part:
            if _name_of(key) not in known:
                log.warning("Deleted a file that no upload knows: %s", key)
                storage.delete(key)


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while part := list(islice(left, BATCH)):
        yield part


def _name_of(key: str) -> str:
    return key.rpartition("/")[2].partition(".")[0].removesuffix("_thumb")


NOTE = text("""
UPDATE media SET used = true WHERE id = ANY (ARRAY(
    SELECT f.id FROM media f WHERE NOT f.used AND EXISTS (SELECT FROM media_uses u WHERE u.media_id = f.id)
    ORDER BY f.created_at LIMIT :batch FOR NO KEY UPDATE SKIP LOCKED))
""")
LOCK = text("""
SELECT f.id FROM media f WHERE NOT f.used AND f.created_at < now() - make_interval(hours => :hours)
    AND NOT EXISTS (SELECT FROM media_uses u WHERE u.media_id = f.id)
ORDER BY f.created_at LIMIT :batch FOR UPDATE SKIP LOCKED
""")
# A statement of its own: what used an upload just before its row was locked is seen only by what begins after that.
DELETE = text("""
DELETE FROM media f WHERE f.id = ANY (:ids) AND NOT EXISTS (SELECT FROM media_uses u WHERE u.media_id = f.id)
RETURNING f.name, f.kind, f.extension
""")
KNOWN = text("SELECT name FROM media WHERE name = ANY (:names)")
