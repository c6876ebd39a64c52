"""How much one user may upload: so many at a time, so many bytes a second, so many that no message uses yet.

The first two are counted by each process for itself; the last is asked of the database.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chat.errors import ChatError
from chat.limits import Buckets

__all__ = ["Allowance"]

ALL_AT_ONCE = 128  # uploads under way in a process: each holds a connection, and a file open
PIXELS_A_BYTE = 4  # of a camera's photo: an image is paid for as a photo of its size, for to look at it takes as long
LATER = 2.0  # seconds after which one of several at a time may have ended
MUCH_LATER = 3_600.0  # seconds; what no message uses is deleted within a day


class Allowance:
    """The uploads under way in this process, and what each user has left."""

    def __init__(self, config: Mapping[str, Any]):
        self._at_once: int = config["UPLOADS_AT_ONCE"]
        self._unused: int = config["UPLOAD_UNUSED_BYTES"]
        self._bytes = Buckets(config["UPLOAD_RATE"], config["UPLOAD_BURST"])
        self._under_way: Counter[int] = Counter()

    @property
    def under_way(self) -> int:
        """How many uploads there are at the moment."""
        return self._under_way.total()

    @contextmanager
    def one(self, user_id: int, size: int) -> Iterator[None]:
        """Let one upload of about `size` bytes happen inside. Raises ChatError rate_limited or overloaded."""
        if self.under_way >= ALL_AT_ONCE:
            raise ChatError("overloaded", retry_after=LATER)
        if self._under_way[user_id] >= self._at_once:
            raise ChatError("rate_limited", "Too many uploads at a time.", retry_after=LATER)
        wait = self._bytes.take(user_id, size, time.monotonic())
        if wait:
            raise ChatError("rate_limited", "Too many bytes at once. Please wait.", retry_after=wait)
        self._under_way[user_id] += 1
        try:
            yield
        finally:
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]

    def charge(self, user_id: int, size: int, pixels: int) -> None:
        """Let an image of `size` bytes that are paid for be paid by its pixels, too. Raises ChatError rate_limited.

        An image of 150 bytes can take seconds: without this one user could keep all threads busy.
        """
        wait = self._bytes.take(user_id, max(0, pixels // PIXELS_A_BYTE - size), time.monotonic())
        if wait:
            raise ChatError("rate_limited", "Too many pixels at once. Please wait.", retry_after=wait)

    def check_unused(self, held: int, size: int) -> None:
        """Refuse what would let a user's unused uploads grow beyond the bound. Raises ChatError rate_limited."""
        if held + size > self._unused:
            raise ChatError("rate_limited", "Too much was uploaded and not sent.", retry_after=MUCH_LATER)
