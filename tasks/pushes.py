"""Push notifications to members who have no session anywhere, over the channels of tasks/push/.

Web processes name the conversations that got messages (`find`), and every half minute beat has all looked at that
changed lately (`look`): what a lost broker took, and who was still counted as online, is found so. What is undelivered
is read from the database. A user's note is enqueued once in ten seconds at most; up to where a user was told stands in
Redis, and where that was forgotten, what is still undelivered is told again.

A note: `{id, userId, conversations: [{conversationId, undelivered, message: {id, seq, senderId, type, content,
createdAt}}]}`, the newest first, ten at most, `content` cut to 200 characters: below 20 kB.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from celery import Task, shared_task
from sqlalchemy import Row, text

from chat.ids import conversation_wire_id, message_wire_id
from chat.times import wire_time
from tasks import queue, stores
from tasks.push import Later, Note, channels

__all__ = ["SCHEDULE", "find", "look", "send"]

SCHEDULE = {"push": {"task": "tasks.pushes.look", "schedule": 30.0}}
LATELY = 600  # seconds: what a message could not be pushed in by then is stale
CONVERSATIONS = 1_000  # looked at by one look, the last changed first
A_QUERY = 100  # conversations of one query
USERS = 5_000  # of one query; more are found by the next look
PAUSE = 10  # seconds between two notes to a user
PENDING = 180  # seconds for which a note is on its way, with all its tries; then another may be made
KEPT = 604_800  # seconds for which it is known up to where a user was told
TRIES = 6
CHARACTERS = 200  # of a message: what fits on a phone's lock screen


class _Behind(NamedTuple):
    """A member with something undelivered, as the database says."""

    user_id: int
    public_id: str
    conversation: int
    last_seq: int


@shared_task(name="tasks.pushes.look")  # type: ignore[untyped-decorator]
def look() -> None:
    """Push what changed lately and was not told yet."""
    if not channels(stores.settings()):
        return
    with stores.engine().connect() as connection:
        recent = list(connection.execute(text(RECENT), {"seconds": LATELY, "most": CONVERSATIONS}).scalars())
    for start in range(0, len(recent), A_QUERY):
        find(recent[start : start + A_QUERY])


@shared_task(name="tasks.pushes.find")  # type: ignore[untyped-decorator]
def find(conversations: list[int]) -> None:
    """Enqueue a note for each member of these conversations who is behind, has no session and was not told."""
    if not channels(stores.settings()):
        return
    with stores.engine().connect() as connection:
        rows = connection.execute(text(BEHIND), {"conversations": conversations, "most": USERS})
        behind = [_Behind(*row) for row in rows]
    users = {one.user_id: one.public_id for one in _untold(_absent(behind))}
    for user_id, public_id in users.items():
        if stores.redis().set(_key(f"push:user:{user_id}"), 1, nx=True, ex=PENDING):
            _enqueue(user_id, public_id)


@shared_task(name="tasks.pushes.send", bind=True, max_retries=TRIES - 1)  # type: ignore[untyped-decorator]
def send(task: Task, channel: str, user_id: int, note: Note, told: dict[str, int]) -> None:
    """Bring a note to its user over one channel; try again after 2, 4, 8 … seconds."""
    try:
        channels(stores.settings())[channel].send(stores.settings(), note)
    except Later as error:
        raise task.retry(exc=error, countdown=2 ** (task.request.retries + 1)) from error
    _remember(user_id, told)


def _absent(behind: list[_Behind]) -> list[_Behind]:
    """Return those without a session anywhere."""
    names = list({one.public_id for one in behind})
    if not names:
        return []
    online = dict(zip(names, stores.redis().smismember(_key("presence:online"), names), strict=True))
    return [one for one in behind if not online[one.public_id]]


def _untold(behind: list[_Behind]) -> Iterable[_Behind]:
    """Return those who were not told of the newest entry."""
    with stores.redis().pipeline(transaction=False) as asked:
        for one in behind:
            asked.hget(_key(f"push:told:{one.user_id}"), str(one.conversation))
        told = asked.execute()
    return (one for one, seq in zip(behind, told, strict=True) if int(seq or 0) < one.last_seq)


def _enqueue(user_id: int, public_id: str) -> None:
    with stores.engine().connect() as connection:
        rows = list(connection.execute(text(WAITING), {"user": user_id}))
    told = {str(row.conversation_id): row.last_seq for row in rows}
    rows = [row for row in rows if row.seq]
    note = _note(public_id, rows)
    for channel in channels(stores.settings()) if rows else ():
        if not queue.send("tasks.pushes.send", (channel, user_id, note, told), retry=False):
            stores.redis().delete(_key(f"push:user:{user_id}"))  # the next look tries again
            return
    if not rows:
        _remember(user_id, told)


def _remember(user_id: int, told: Mapping[Any, Any]) -> None:
    with stores.redis().pipeline(transaction=False) as said:
        if told:
            said.hset(_key(f"push:told:{user_id}"), mapping=told)
            said.expire(_key(f"push:told:{user_id}"), KEPT)
        said.set(_key(f"push:user:{user_id}"), 1, ex=PAUSE)
        said.execute()


def _note(public_id: str, rows: list[Row[Any]]) -> Note:
    mark = "".join([public_id, *(f" {row.conversation_id}.{row.seq}" for row in rows)])
    return {
        "id": sha256(mark.encode()).hexdigest()[:32],
        "userId": public_id,
        "conversations": [_conversation(row) for row in rows],
    }


def _conversation(row: Row[Any]) -> dict[str, Any]:
    return {
        "conversationId": conversation_wire_id(row.conversation_id, row.low, row.high),
        "undelivered": row.undelivered,
        "message": {
            "id": message_wire_id(row.conversation_id, row.seq),
            "seq": row.seq,
            "senderId": row.sender,
            "type": row.type,
            "content": row.content[:CHARACTERS],
            "createdAt": wire_time(row.created_at),
        },
    }


def _key(name: str) -> str:
    return str(stores.settings()["REDIS_PREFIX"] + name)


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
  AND m.left_seq IS NULL AND NOT m.away AND NOT m.quiet
ORDER BY h.touched DESC, m.user_id LIMIT :most
"""
# Per conversation the newest message of others that was not taken; one with nothing but own ones comes without.
WAITING = """
SELECT m.conversation_id, c.low, c.high, h.last_seq,
       h.last_seq - greatest(m.delivered_seq, m.visible_from) AS undelivered,
       e.seq, e.type, e.content, e.created_at, u.public_id AS sender
FROM memberships m
JOIN conversation_heads h ON h.conversation_id = m.conversation_id
JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN LATERAL (
    SELECT * FROM entries e
    WHERE e.conversation_id = m.conversation_id AND e.seq > greatest(m.delivered_seq, m.visible_from)
      AND e.sender_id IS NOT NULL AND e.sender_id <> :user AND e.recalled_at IS NULL
    ORDER BY e.seq DESC LIMIT 1) e ON true
LEFT JOIN users u ON u.id = e.sender_id
WHERE m.user_id = :user AND m.left_seq IS NULL AND NOT m.away AND NOT m.quiet AND m.delivered_seq < h.last_seq
ORDER BY h.touched DESC LIMIT 10
"""
