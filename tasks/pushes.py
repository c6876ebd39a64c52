"""Push notifications to members who have no session anywhere: who is due one. courier.py brings it, notes.py says it.

Web processes name the conversations that got messages (`find`), and every half minute beat has all looked at that
changed lately (`look`): what a lost broker took, who was still counted as online, whose note was not taken, is found.
"""

from typing import NamedTuple

from celery import shared_task
from sqlalchemy import text

from tasks import stores
from tasks.absence import absent
from tasks.courier import bring, note_due, open_channels
from tasks.notes import is_told

__all__ = ["SCHEDULE", "find", "look"]

SCHEDULE = {"push": {"task": "tasks.pushes.look", "schedule": 30.0}}
LATELY = 600  # seconds: what a message could not be pushed in by then is stale
CONVERSATIONS = 1_000  # looked at by one look, the last changed first
A_QUERY = 100  # conversations of one query
A_PAGE = 2_000  # members of one query: some 20 ms, and 3 ms of Redis


class _Behind(NamedTuple):
    """A member with something undelivered, as the database says."""

    user_id: int
    public_id: str
    conversation: int
    last_seq: int


@shared_task(name="tasks.pushes.look")  # type: ignore[untyped-decorator]
def look() -> None:
    """Push what changed lately and was not told yet."""
    if not open_channels():
        return
    with stores.engine().connect() as connection:
        recent = list(connection.execute(text(RECENT), {"seconds": LATELY, "most": CONVERSATIONS}).scalars())
    for start in range(0, len(recent), A_QUERY):
        _note(recent[start : start + A_QUERY])
    bring()


@shared_task(name="tasks.pushes.find")  # type: ignore[untyped-decorator]
def find(conversations: list[int]) -> None:
    """Push to each member of these conversations who is behind, has no session and was not told."""
    if open_channels():
        _note(conversations)
        bring()


def _note(conversations: list[int]) -> None:
    """Note who is due, page by page, until there is no room for more: they are told first, and then left out here."""
    after = _Behind(0, "", 0, 0)
    while True:
        page = _page(conversations, after)
        away = absent({one.public_id for one in page})
        behind = [one for one in page if one.public_id in away]
        told = is_told([(one.user_id, one.conversation, one.last_seq) for one in behind])
        due = {one.user_id: one.public_id for one, known in zip(behind, told, strict=True) if not known}
        if not note_due(due) or len(page) < A_PAGE:
            return
        after = page[-1]


def _page(conversations: list[int], after: _Behind) -> list[_Behind]:
    place = {"after": after.conversation, "user": after.user_id}
    asked = [conversation for conversation in conversations if conversation >= after.conversation]
    with stores.engine().connect() as connection:
        rows = connection.execute(text(BEHIND), {"conversations": asked, "most": A_PAGE, **place})
        return [_Behind(*row) for row in rows]


RECENT = """
SELECT conversation_id FROM conversation_heads
WHERE touched >= (extract(epoch FROM now()) - :seconds)::bigint / 8 ORDER BY touched DESC LIMIT :most
"""
BEHIND = """
SELECT m.user_id, u.public_id, m.conversation_id, h.last_seq
FROM memberships m
JOIN conversation_heads h ON h.conversation_id = m.conversation_id
JOIN users u ON u.id = m.user_id
WHERE m.conversation_id = ANY (CAST(:conversations AS bigint[])) AND m.delivered_seq < h.last_seq
  AND m.left_seq IS NULL AND NOT m.away AND NOT m.quiet AND (m.conversation_id, m.user_id) > (:after, :user)
ORDER BY m.conversation_id, m.user_id LIMIT :most
"""
