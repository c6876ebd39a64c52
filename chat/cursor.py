"""A cursor: where a client stands in everything that concerns it, opaque to the client. Pure.

It names the database's generation, Redis's epoch, the number `n` up to which every event was handed over, the time of
that, the session that handed it over, and, for the last seconds, how far each conversation was handed over, so that a
client that has to be caught up from the database by time gets nothing twice, and a poll proves what the one before
brought. Its text is made of what every client leaves as it is in a URL, for each poll has one in its address.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["NONCE", "RECENT", "Cursor"]

LONGEST = 4_096  # characters; a cursor stands in a URL
LARGEST = 2**53  # numbers are below; as microseconds that is the year 2255
RECENT = 40  # conversations named with what was handed over of them
LATELY = 16  # single events named: more than a poll brings that another process has not heard of yet
NONCE = "~"  # between a chain's id and how many events of it were handed over there
MARK, NUMBER, ROWS = r"([A-Za-z0-9-]*)", r"([0-9]{1,16})", r"([0-9_-]*)"
TEXT = re.compile(rf"{MARK}\.{MARK}\.{NUMBER}\.{NUMBER}\.([A-Za-z0-9_-]*)\.([0-9]*)\.{ROWS}\.{ROWS}")


class Cursor(NamedTuple):
    """`time_us`: microseconds since 1970; what was committed 15 s before it was handed over.

    `seen`: {conversation: (change, seq)}. `lately`: (conversation, or 0 for the user's own; change) of what else was
    handed over within seconds, for messages are told by `seen`: other processes may hear of it only now. `generation`
    and `epoch` are letters, digits and hyphens; `session_id` may have "_", too, and NONCE and a number behind it.
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
        generation, epoch, n, time_us, session_id, handed, single = self
        named = list(handed.items())[-RECENT:] if len(handed) > RECENT else handed.items()
        seen = "_".join([f"{conversation}-{change}-{seq}" for conversation, (change, seq) in named])
        lately = "_".join([f"{place}-{change}" for place, change in single[-LATELY:]]) if single else ""
        chain, _, number = session_id.partition(NONCE)
        return f"{generation}.{epoch}.{n}.{time_us}.{chain}.{number}.{seen}.{lately}"

    @classmethod
    def decode(cls, text: str) -> "Cursor | None":
        """Return the cursor, or None if the text is none of ours: then the client is treated as one without."""
        found = TEXT.fullmatch(text) if len(text) <= LONGEST else None
        if found is None:
            return None
        generation, epoch, n, time_us, chain, number, triples, pairs = found.groups()
        try:
            seen = {conversation: (change, seq) for conversation, change, seq in _rows(triples)}
            lately = tuple((place, change) for place, change in _rows(pairs))
            session_id = f"{chain}{NONCE}{number}" if number else chain
            return cls(generation, epoch, _number(n), _number(time_us), session_id, seen, lately)
        except ValueError:
            return None


def _rows(text: str) -> Iterable[list[int]]:
    return ([_number(number) for number in row.split("-")] for row in text.split("_")) if text else ()


def _number(text: str) -> int:
    """Return a number that Redis and the database can be asked with. Raises ValueError: a client may send anything."""
    value = int(text)
    if value >= LARGEST:
        raise ValueError(text)
    return value
