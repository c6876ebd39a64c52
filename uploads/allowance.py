"""How much one user may upload: so many at a time, so many bytes a second, so many that no message uses yet.

What comes from one address is bounded, too, for accounts are easily made. The first ones are counted by each
process for itself; the last is asked of the database.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chat.errors import ChatError
from chat.limits import Buckets
from uploads.places import Places

__all__ = ["Allowance"]

ALL_AT_ONCE = 128  # uploads under way in a process: each holds a connection, and a file open
PIXELS_A_BYTE = 4  # of a camera's photo: an image is paid for as a photo of its size, for to look at it takes as long
MUCH_LATER = 3_600.0  # seconds; what no message uses is deleted within a day


class Allowance:
    """The uploads under way in this process, and what each user has left."""

    def __init__(self, config: Mapping[str, Any]):
        self._by_user = Places(ALL_AT_ONCE, config["UPLOADS_AT_ONCE"], "uploads")
        self._by_address = Places(ALL_AT_ONCE, config["UPLOADS_PER_ADDRESS"], "uploads from one address")
        self._unused: int = config["UPLOAD_UNUSED_BYTES"]
        self._bytes = Buckets(config["UPLOAD_RATE"], config["UPLOAD_BURST"])

    @property
    def under_way(self) -> int:
        """How many uploads there are at the moment."""
        return self._by_user.taken

    @contextmanager
    def one(self, user_id: int, address: str, size: int) -> Iterator[None]:
        """Let one upload of about `size` bytes happen inside. Raises ChatError rate_limited or overloaded."""
        with self._by_user.one(user_id), self._by_address.one(address):
            wait = self._bytes.take(user_id, size, time.monotonic())
            if wait:
                raise ChatError("rate_limited", "Too many bytes at once. Please wait.", retry_after=wait)
            yield

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
