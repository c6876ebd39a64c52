"""Uploads that no message uses, and files that no upload knows: deleted after UPLOAD_UNUSED_HOURS.

Safe against a message that is being written: the writer holds the row of its upload until its commit, and the sweep
takes none that is held and none that was used. The row goes before its files; what a crash leaves between the two is
found by the second sweep, which looks at a few shards each time and comes round to all of them in some three hours.
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
AT_A_TIME = 16  # shards of one run, of 256
RUN_SECONDS = 200.0  # after which a run begins nothing more: at 270 it would be ended
UNFINISHED = 3_600  # seconds after which what is still in the incoming folder belongs to a killed process
SCHEDULE = {
    "unused uploads": {"task": "tasks.orphans.unused", "schedule": EVERY},
    "files without uploads": {"task": "tasks.orphans.files", "schedule": EVERY},
}


@shared_task(name="tasks.orphans.unused")  # type: ignore[untyped-decorator]
def unused() -> None:
    """Delete uploads that no message used in time."""
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


def _deleted_rows() -> list[str]:
    with stores.engine().begin() as connection:
        rows = connection.execute(DELETE, {"hours": stores.settings()["UPLOAD_UNUSED_HOURS"], "batch": BATCH}).all()
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


DELETE = text("""
DELETE FROM media WHERE id IN (
    SELECT id FROM media WHERE NOT used AND created_at < now() - make_interval(hours => :hours)
    ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED)
RETURNING name, kind, extension
""")
KNOWN = text("SELECT name FROM media WHERE name = ANY (:names)")
