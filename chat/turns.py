"""What becomes of a user's turn from online to offline or back: the event that tells of it, and when they were seen.

Knows no event loop: web processes do this for each other, and Celery when there are none.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, text

from chat.frames import WATCHERS, Event
from chat.lease_notes import Turn
from chat.times import wire_time_us

__all__ = ["Who", "events_of", "note_seen", "who"]

Who = Row[Any]


def who(connection: Connection, names: Iterable[str]) -> list[Who]:
    """Return (id, public_id, shows_presence) of those of these users who exist."""
    return list(connection.execute(text(WHO), {"names": list(names)}))


def events_of(rows: Iterable[Who], turns: Mapping[str, Turn]) -> list[Event]:
    """Return what is told of these users' turns: never against their wish."""
    return [event for row in rows for event in _events(row, turns[row.public_id])]


def note_seen(connection: Connection, seen: Mapping[int, int]) -> None:
    """Note when these users were seen (microseconds since 1970); what was later stays."""
    connection.execute(text(SEEN), {"users": list(seen), "times": list(seen.values())})


def _events(row: Who, turn: Turn) -> list[Event]:
    if not row.shows_presence and not turn.again:
        return []
    online = turn.online and row.shows_presence
    seen = wire_time_us(turn.seen_us) if row.shows_presence and not online else None
    data = {"userId": turn.user, "online": online, "lastSeenAt": seen, "number": turn.number}
    return [Event.of("presence", data, WATCHERS, row.id, logged=False)]


WHO = "SELECT id, public_id, shows_presence FROM users WHERE public_id = ANY (CAST(:names AS text[]))"
SEEN = """
UPDATE users u SET last_seen_at = greatest(u.last_seen_at, timestamptz 'epoch' + s.us * interval '1 microsecond')
FROM unnest(CAST(:users AS bigint[]), CAST(:times AS bigint[])) AS s (id, us) WHERE u.id = s.id
"""
