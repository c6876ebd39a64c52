"""Entries as the functions in chat/*.sql give them: their JSON, their events, and batches of those that were missed.

A row is [conversation, low, high, seq, change, sender's wire id, localId, type, content, body, created, edited,
recalled]. Knows no event loop: Celery builds the same bytes as the server.
"""

from typing import Any, NamedTuple

import orjson

from chat.frames import CONVERSATION, UPDATED, USER, Event
from chat.ids import conversation_wire_id
from chat.messages import message_json

__all__ = [
    "CHUNK",
    "CHUNK_BYTES",
    "FORMAT",
    "Parcel",
    "batch",
    "batches",
    "entry_event",
    "entry_json",
    "packed",
    "parcels",
    "unpacked",
]

FORMAT = 1  # of what web process and worker say to each other: what another version says is left alone
CHUNK = 50  # messages of an offline batch: a screen or two, taken before the next goes out
CHUNK_BYTES = 65_536  # the same in bytes: with the message that goes beyond it far below what may wait for a client


class Parcel(NamedTuple):
    """A batch of missed messages that is not built yet: `keys` are (conversation, seq, change), `size` about its bytes.

    `remaining`: messages that follow in later batches.
    """

    keys: list[tuple[int, int, int]]
    size: int
    remaining: int


def entry_event(row: list[Any], version: int = 0, *, changed: bool = False) -> Event:
    """Return the event that tells of an entry: `message`, or `message.updated` if it changed since it was written."""
    number, low, high, seq, change, *_ = row
    members = tuple({low, high}) if low else ()
    return Event(
        UPDATED if changed else "message",
        entry_json(row),
        CONVERSATION,
        number,
        change=change,
        seq=seq,
        version=version,
        members=members,
        private=bool(low),
    )


def entry_json(row: list[Any]) -> bytes:
    """Return an entry as it stands on the wire."""
    number, low, high, seq, change, sender, local_id, kind, content, body, created, edited, recalled = row
    wire_id = conversation_wire_id(number, low, high)
    return message_json(wire_id, number, seq, change, sender, local_id, kind, content, body, created, edited, recalled)


def batches(rows: list[list[Any]], remaining: int = 0) -> list[Event]:
    """Return `offline.batch` events of up to CHUNK messages or CHUNK_BYTES; `remaining` more follow in later ones."""
    events = []
    taken: list[list[Any]] = []
    parts: list[bytes] = []
    size = 0
    for place, row in enumerate(rows, 1):
        taken.append(row)
        parts.append(entry_json(row))
        size += len(parts[-1])
        if len(taken) == CHUNK or size >= CHUNK_BYTES or place == len(rows):
            events.append(_batch(taken, parts, len(rows) - place + remaining))
            taken, parts, size = [], [], 0
    return events


def batch(rows: list[list[Any]], remaining: int) -> Event:
    """Return one `offline.batch` event with all of these entries. It belongs to no one conversation."""
    return _batch(rows, [entry_json(row) for row in rows], remaining)


def _batch(rows: list[list[Any]], parts: list[bytes], remaining: int) -> Event:
    raw = b'{"messages":[%b],"remaining":%d}' % (b",".join(parts), remaining)
    event = Event("offline.batch", raw, USER, 0, logged=False)
    event.told = tuple((row[0], row[4], row[3]) for row in rows)
    return event


def parcels(rows: list[tuple[int, int, int, int]]) -> list[Parcel]:
    """Cut what follows (conversation, seq, change, bytes) as `batches` would, without having read it."""
    made = []
    keys: list[tuple[int, int, int]] = []
    size = 0
    for place, (conversation, seq, change, length) in enumerate(rows, 1):
        keys.append((conversation, seq, change))
        size += length
        if len(keys) == CHUNK or size >= CHUNK_BYTES or place == len(rows):
            made.append(Parcel(keys, size, len(rows) - place))
            keys, size = [], 0
    return made


def packed(tag: str, event: Event) -> bytes:
    """Return a batch as Celery's worker sends it to the process that asked for it, under the tag it gave."""
    return b"%b\n%b" % (orjson.dumps((FORMAT, tag, event.told)), event.raw)


def unpacked(data: bytes) -> tuple[str, Event]:
    """Return tag and batch. Raises ValueError if it is none, or of another version of the server."""
    header, _, raw = data.partition(b"\n")
    form, tag, *rest = orjson.loads(header)
    if form != FORMAT:
        raise ValueError(f"a batch in format {form}")
    (told,) = rest
    event = Event("offline.batch", raw, USER, 0, logged=False)
    event.told = tuple(map(tuple, told))
    return tag, event
