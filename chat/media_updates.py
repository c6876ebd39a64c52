"""Uploads that change after they were sent: a thumbnail made later. The entries that use them follow, and are told.

Knows no event loop: Celery does it. Each step looks first whether there is anything to do, so that it can be repeated.
What is owed stands in the database (`look_at`) until it is certain that it was done, however long a worker is away.
"""

import orjson

from chat.entries import entry_event
from chat.media import with_thumbnail
from chat.media_address import MEDIA
from chat.transaction import Transaction

__all__ = ["bring_up_to_date", "finish_thumbnail", "outdated_uses", "owing"]


def finish_thumbnail(tx: Transaction, name: str, placeholder: str) -> None:
    """Note that an image's thumbnail is there; with an empty placeholder that it never will be."""
    data = tx.execute(LOCK_PENDING, {"name": name}).scalar()
    if data is not None:
        values = {"name": name, "data": with_thumbnail(data, placeholder) if placeholder else data}
        tx.execute(FINISH, values | {"state": "ready" if placeholder else "none", "ready": bool(placeholder)})


def owing(tx: Transaction, most: int) -> list[str]:
    """Take the names of images whose thumbnail, or whose telling, is owed; who has waited longest comes first.

    One that was taken is not given again for a minute, or for a quarter of its age: what fails keeps nothing waiting.
    """
    values = {"most": most, "media": MEDIA}
    tx.execute(SETTLE, values)
    return [row.name for row in tx.execute(TAKE, values)]


def outdated_uses(tx: Transaction, name: str, most: int) -> list[tuple[int, int]]:
    """Return (conversation, seq) of entries that do not say what their upload says now."""
    rows = tx.execute(OUTDATED, {"name": name, "most": most, "media": MEDIA})
    return [(row.conversation_id, row.seq) for row in rows]


def bring_up_to_date(tx: Transaction, name: str, conversation: int, seq: int) -> None:
    """Let an entry say what its upload says now, as one more change of its conversation; tell `message.updated`.

    It is no edit: `edited_at` stays as it is.
    """
    row = tx.execute(LOCK_HEAD, {"conversation": conversation}).one()
    values = {"conversation": conversation, "seq": seq, "name": name, "media": MEDIA}
    outdated = tx.execute(BODY, values).one_or_none()
    if outdated is None:
        return  # done meanwhile
    body = {**orjson.loads(outdated.body), "media": orjson.Fragment(outdated.data)}
    tx.execute(MOVE_HEAD, {"conversation": conversation, "change": row.change + 1})
    values = {"conversation": conversation, "seq": seq, "change": row.change + 1, "body": orjson.dumps(body).decode()}
    entry = tx.execute(UPDATE, values).one()
    tx.emit(entry_event([conversation, row.low, row.high, *entry], row.members_version, changed=True))


LOCK_PENDING = "SELECT data FROM media WHERE name = :name AND thumbnail = 'pending' FOR NO KEY UPDATE"
FINISH = """
UPDATE media SET thumbnail = :state, data = :data, ready_at = CASE WHEN :ready THEN now() END,
    look_at = CASE WHEN :ready THEN now() + interval '30 seconds' END
WHERE name = :name
"""
OUTDATED_USE = """
media f JOIN media_uses u ON u.media_id = f.id
JOIN entries e ON e.conversation_id = u.conversation_id AND e.seq = u.seq
WHERE e.recalled_at IS NULL AND NOT starts_with(e.body, CAST(:media AS text) || f.data)
"""
OUTDATED_OF_I = f"EXISTS (SELECT FROM {OUTDATED_USE} AND f.id = i.id)"
# A message that was composed before the thumbnail was ready is stored within a minute or never: the writer gives up.
SETTLE = f"""
UPDATE media SET look_at = NULL WHERE id = ANY (ARRAY(
    SELECT i.id FROM media i
    WHERE i.look_at < now() AND i.ready_at < now() - interval '10 minutes' AND NOT {OUTDATED_OF_I}
    ORDER BY i.look_at LIMIT :most FOR NO KEY UPDATE SKIP LOCKED))
"""  # noqa: S608 - put together of constants
TAKE = f"""
UPDATE media SET look_at = now() + greatest(interval '1 minute', (now() - created_at) / 4) WHERE id = ANY (ARRAY(
    SELECT i.id FROM media i WHERE i.look_at < now() AND (i.thumbnail = 'pending' OR {OUTDATED_OF_I})
    ORDER BY i.look_at LIMIT :most FOR NO KEY UPDATE SKIP LOCKED))
RETURNING name
"""  # noqa: S608
OUTDATED = f"SELECT e.conversation_id, e.seq FROM {OUTDATED_USE} AND f.name = :name LIMIT :most"  # noqa: S608
LOCK_HEAD = """
SELECT h.change, h.members_version, c.low, c.high FROM conversation_heads h
JOIN conversations c ON c.id = h.conversation_id WHERE h.conversation_id = :conversation FOR UPDATE OF h
"""
BODY = f"""
SELECT e.body, f.data FROM {OUTDATED_USE} AND f.name = :name AND e.conversation_id = :conversation AND e.seq = :seq
"""  # noqa: S608
MOVE_HEAD = """
UPDATE conversation_heads SET change = :change, touched = (extract(epoch FROM clock_timestamp()) / 8)::int
WHERE conversation_id = :conversation
"""
UPDATE = """
UPDATE entries e SET body = :body, change = :change, changed_at = clock_timestamp()
WHERE conversation_id = :conversation AND seq = :seq
RETURNING e.seq, e.change, (SELECT u.public_id FROM users u WHERE u.id = e.sender_id), e.local_id, e.type, e.content,
    e.body, (extract(epoch FROM e.created_at) * 1000000)::bigint, (extract(epoch FROM e.edited_at) * 1000000)::bigint,
    (extract(epoch FROM e.recalled_at) * 1000000)::bigint
"""
