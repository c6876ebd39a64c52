"""Thumbnails of large images, and telling of them: the entries that use such an image change when it is ready.

Idempotent in both steps. What a lost broker or a killed worker left is found again from the database every minute:
images without their thumbnail, and entries that do not yet say what their image says. What passes (a disk that is away,
no memory, no time) is tried again; an image that is damaged, long gone, or kills whoever looks at it is given up.
"""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from celery import shared_task
from sqlalchemy import Row

from chat.frames import Event
from chat.media_updates import bring_up_to_date, finish_thumbnail, outdated_uses, owing
from chat.transaction import Transaction, run_in_transaction
from tasks import attempts, queue, stores
from uploads.images import thumbnail
from uploads.storage import Storage, key_of, thumbnail_key_of
from uploads.survey import BadImageError

__all__ = ["SCHEDULE", "make", "make_up_for"]

T = TypeVar("T")
log = logging.getLogger(__name__)
BATCH = 100  # images of one look at the database, and entries of one image
BATCHES = 50  # of entries in one run; the next one goes on
EVERY = 60.0  # seconds
GONE_HOURS = 6  # for which a file that is not there may yet come: where many hosts share a storage, some see it late
SCHEDULE = {"thumbnails": {"task": "tasks.thumbnails.make_up_for", "schedule": EVERY}}


@shared_task(name="tasks.thumbnails.make")  # type: ignore[untyped-decorator]
def make(name: str) -> None:
    """Make an image's thumbnail, if it is owed, and tell of it."""
    storage = stores.storage()
    row = _unit(lambda tx: tx.execute(PENDING, {"name": name, "hours": GONE_HOURS}).first())
    if storage is not None and row is not None:
        placeholder = _made(storage, row)
        if placeholder is not None:
            _unit(lambda tx: finish_thumbnail(tx, name, placeholder))
    _tell(name)


@shared_task(name="tasks.thumbnails.make_up_for")  # type: ignore[untyped-decorator]
def make_up_for() -> None:
    """Enqueue what was not enqueued, not done, or done and not told: each alone, so that none takes another's time."""
    for name in _unit(lambda tx: owing(tx, BATCH)):
        if attempts.given_up(make.name, (name,)):
            log.error("The image %s stays without a thumbnail: whoever looked at it died", name)
            _unit(partial(_give_up, name))
        elif not queue.send(make.name, (name,), expires=EVERY):
            return


def _give_up(name: str, tx: Transaction) -> None:
    finish_thumbnail(tx, name, "")


def _made(storage: Storage, row: Row[Any]) -> str | None:
    """Make the thumbnail and return its placeholder: empty if there never will be one, None if it must be tried again.

    Raises what passes: OSError (a storage that is away, too), MemoryError, SoftTimeLimitExceeded.
    """
    with storage.fetched(key_of(row.kind, row.name, row.extension)) as source, _scratch(storage, row.name) as scratch:
        if source is None:
            if row.old:
                log.warning("The image %s has no file", row.name)
            return "" if row.old else None
        try:
            placeholder = thumbnail(source, scratch)
        except BadImageError as error:
            log.warning("No thumbnail of %s: %s", row.name, error)
            return ""
        storage.put(scratch, thumbnail_key_of(row.name))
        return placeholder


@contextmanager
def _scratch(storage: Storage, name: str) -> Iterator[Path]:
    path = storage.incoming.path / f"{name}.{secrets.token_hex(4)}"  # two workers may do the same at a time
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _tell(name: str) -> None:
    """Let the entries that use an image say what it says now, and tell of each."""
    for _ in range(BATCHES):
        places = _unit(lambda tx: outdated_uses(tx, name, BATCH))
        for place in places:
            _unit(partial(_bring_up_to_date, name, place))
        if not places:
            return


def _bring_up_to_date(name: str, place: tuple[int, int], tx: Transaction) -> None:
    bring_up_to_date(tx, name, *place)


class _Process:
    """What a unit of work here tells through."""

    config = property(lambda _: stores.settings())

    def tell(self, events: list[Event]) -> None:
        stores.publisher().tell(events)

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        raise NotImplementedError(f"{task}{arguments}: nothing here enqueues")


def _unit(work: Callable[[Transaction], T]) -> T:
    return run_in_transaction(stores.engine(), _Process(), work)


PENDING = """
SELECT name, kind, extension, created_at < now() - make_interval(hours => :hours) AS old
FROM media WHERE name = :name AND thumbnail = 'pending'
"""
