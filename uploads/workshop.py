"""Work that blocks, done in threads beside the event loop: images, files of this machine, and the storage.

Images get two threads of their own, which run behind everything else of this machine: whoever uploads can wait, and
whoever chats cannot.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar

from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

from chat.errors import ChatError

__all__ = ["Workshop"]

T = TypeVar("T")
AT_ONCE = 2  # images at a time: each takes a core
LARGE_AT_ONCE = 1  # of those, large ones: 50 million pixels take 600 MB
WAITING = 64  # images of a process that may wait: ten seconds' work of photos; who would wait longer is told so at once
FILE_THREADS = 4  # reads and writes at a time: a disk does no more at once
STORE_THREADS = 8  # calls of the storage at a time: one elsewhere answers in milliseconds, or not for seconds
NICE = 10  # by which the threads for images are nicer than the rest of the process
LAST = 19  # the nicest there is


class Workshop:
    """The threads of a process, made at first need. `waiting`: images that are looked at, or wait for it."""

    def __init__(self) -> None:
        self._image_threads: ThreadPool | None = None
        self._file_threads: ThreadPool | None = None
        self._store_threads: ThreadPool | None = None
        self._large = BoundedSemaphore(LARGE_AT_ONCE)
        self.waiting = 0

    def image(self, work: Callable[..., T], *arguments: Any, large: bool = False) -> T:
        """Return what `work` on an image returns; only one that is `large` at a time, and small ones beside it.

        Raises what it raises, or ChatError overloaded.
        """
        if self.waiting >= WAITING:
            raise ChatError("overloaded", retry_after=5)
        if self._image_threads is None:
            self._image_threads = ThreadPool(AT_ONCE)
        self.waiting += 1
        try:
            with self._large if large else nullcontext():
                return _done(self._image_threads, partial(_behind, work), *arguments)
        finally:
            self.waiting -= 1

    def file(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what `work` on a file returns. Raises what it raises."""
        if self._file_threads is None:
            self._file_threads = ThreadPool(FILE_THREADS)
        return _done(self._file_threads, work, *arguments)

    def store(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what a call of the storage returns. Raises what it raises. No file of this machine waits behind it."""
        if self._store_threads is None:
            self._store_threads = ThreadPool(STORE_THREADS)
        return _done(self._store_threads, work, *arguments)


def _done(pool: ThreadPool, work: Callable[..., T], *arguments: Any) -> T:
    outcome: tuple[T, Exception | None] = pool.apply(_outcome, (work, *arguments))
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def _outcome(work: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    # An exception that leaves a thread would be printed by gevent.
    try:
        return work(*arguments), None
    except Exception as error:  # noqa: BLE001 (raised again where it was asked for)
        return None, error


def _behind(work: Callable[..., T], *arguments: Any) -> T:
    wanted = min(LAST, os.getpriority(os.PRIO_PROCESS, os.getpid()) + NICE)
    if os.getpriority(os.PRIO_PROCESS, 0) < wanted:  # Linux takes 0 for the calling thread
        os.setpriority(os.PRIO_PROCESS, 0, wanted)
    return work(*arguments)
