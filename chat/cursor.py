"""A cursor: where a client stands in everything that concerns it, opaque to the client. Pure.

It names the database's generation, Redis's epoch, the number `n` up to which every event was handed over, the time of
that, the session that handed it over, and, for the last seconds, how far each conversation was handed over, so that a
client that has to be caught up from the database by time gets nothing twice, and a poll proves what the one before
brought.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import orjson

__all__ = ["RECENT", "Cursor"]

LONGEST = 4_096  # bytes; a cursor stands in a URL
LARGEST = 2**53  # numbers are below; as microseconds that is the year 2255
RECENT = 40  # conversations named with what was handed over of them
LATELY = 16  # single events named: more than a poll brings that another process has not heard of yet


class Cursor(NamedTuple):
    """`time_us`: microseconds since 1970; what was committed 15 s before it was handed over.

    `seen`: {conversation: (change, seq)}. `lately`: (conversation, or 0 for the user's own; change) of what else was
    handed over within seconds, for messages are told by `seen`: other processes may hear of it only now.
    """

    generation: str
    epoch: str
    n: int
    time_us: int
    session_id: str = ""
    seen: dict[int, tuple[int, int]] = {}  # noqa: RUF012  (a NamedTuple's default, never changed)
    lately: tuple[tuple[int, int], ...] = ()

    def encode(self) -> str:
        """Return the text that a client gets and gives back."""
        seen = [(conversation, *at) for conversation, at in list(self.seen.items())[-RECENT:]]
        fields = (self.generation, self.epoch, self.n, self.time_us, self.session_id, seen, self.lately[-LATELY:])
        return urlsafe_b64encode(orjson.dumps(fields)).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor | None":
        """Return the cursor, or None if the text is none of ours: then the client is treated as one without."""
        if not text or len(text) > LONGEST:
            return None
        try:
            generation, epoch, n, time_us, session_id, triples, pairs = orjson.loads(
                urlsafe_b64decode(text + "=" * (-len(text) % 4))
            )
            seen = {_number(conversation): (_number(change), _number(seq)) for conversation, change, seq in triples}
            lately = tuple((_number(conversation), _number(change)) for conversation, change in pairs)
            return cls(str(generation), str(epoch), _number(n), _number(time_us), str(session_id), seen, lately)
        except (ValueError, TypeError, binascii.Error):
            return None


def _number(value: object) -> int:
    """Return a number that Redis and the database can be asked with. Raises ValueError: a client may send anything."""
    if type(value) is not int or not 0 <= value < LARGEST:
        raise ValueError(value)
    return value
