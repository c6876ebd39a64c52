"""Reading entries for lists and `sync`; pages of history are read in pages.py.

Each function owes one query, which proves the membership, respects `visible_from` and reads the entries in one
snapshot. The entries come out ready encoded.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Row

from chat.ids import conversation_wire_id
from chat.messages import message_json
from chat.times import epoch_us
from chat.transaction import Transaction
from chat.unread import UNREAD

__all__ = ["BY_VALUE", "ENTRY", "Missed", "Wanted", "encoded", "missed"]

NEWEST = 50  # entries of a conversation that a sync brings: a screen and a half; the rest is read by scrolling up
CHANGED = 50  # the same of older entries that changed; the next sync goes on where this one ended
ROW_BYTES = 300  # of a message besides its content and body
ANSWER_BYTES = 131_072  # of all the entries of an answer, about: half of what may wait for a slow client (OUTBOX_BYTES)


class Wanted(NamedTuple):
    """Where a client stands in a conversation (a group's number or a pair): the last entry and the last change held."""

    group: int
    low: int
    high: int
    seq: int
    change: int


class Missed(NamedTuple):
    """What a client lacks of one conversation, and the `change` that it has seen everything up to once it has this.

    `head` has the conversation's numbers, and the member's positions and unread.
    """

    head: Row[Any]
    change: int
    messages: list[orjson.Fragment]
    has_more: bool
    changed: list[orjson.Fragment]
    has_more_changed: bool


def encoded(row: Row[Any]) -> orjson.Fragment:
    """Return an entry for an answer's JSON; `row` has ENTRY's columns and the conversation's `id`, `low`, `high`."""
    return orjson.Fragment(_json(row))


def _json(row: Row[Any]) -> bytes:
    return message_json(
        conversation_wire_id(row.id, row.low, row.high),
        row.id,
        row.seq,
        row.entry_change,
        row.sender,
        row.local_id,
        row.type,
        row.content,
        row.body,
        epoch_us(row.created_at),
        None if row.edited_at is None else epoch_us(row.edited_at),
        None if row.recalled_at is None else epoch_us(row.recalled_at),
    )


def missed(tx: Transaction, user_id: int, wanted: Sequence[Wanted]) -> dict[int, Missed]:
    """Return what a client lacks, by place in `wanted`: the newest entries after `seq`, older ones changed since.

    Conversations that the user is not in are left out. All together stay near ANSWER_BYTES: each gives up its oldest
    first, and none its newest.
    """
    values = {
        "user": user_id, "newest": NEWEST + 1, "changed": CHANGED + 1, "row_bytes": ROW_BYTES, "bytes": ANSWER_BYTES,
        "groups": [one.group for one in wanted], "lows": [one.low for one in wanted],
        "highs": [one.high for one in wanted], "seqs": [one.seq for one in wanted],
        "changes": [one.change for one in wanted],
    }  # fmt: skip
    found: dict[int, list[Row[Any]]] = {}
    for row in tx.execute(MISSED, values):
        found.setdefault(row.place - 1, []).append(row)
    return {place: _missed(rows) for place, rows in found.items()}


def _missed(rows: list[Row[Any]]) -> Missed:
    newest = [row for row in rows if row.seq is not None and not row.is_changed][:NEWEST]
    changed = [row for row in rows if row.seq is not None and row.is_changed][:CHANGED]
    has_more = bool(newest) and newest[0].found > len(newest)
    has_more_changed = bool(changed) and changed[0].found > len(changed)
    change = changed[-1].entry_change if has_more_changed else rows[0].change
    rising, mended = [encoded(row) for row in reversed(newest)], [encoded(row) for row in changed]
    return Missed(rows[0], change, rising, has_more, mended, has_more_changed)


# The columns of an entry `e`. The sender's id by a look-up of its own, for a join might be done by reading all users.
ENTRY = """
e.seq, e.change AS entry_change, (SELECT u.public_id FROM users u WHERE u.id = e.sender_id) AS sender, e.local_id,
e.type, e.content, e.body, e.created_at, e.edited_at, e.recalled_at
"""
# A conversation by its place on the wire: a group's number, or the pair of a private one.
NAMED = """
c.id = CASE WHEN {group} > 0 THEN {group}
            ELSE (SELECT p.id FROM conversations p WHERE p.low = {low} AND p.high = {high}) END
AND (c.low IS NULL) = ({group} > 0)
"""
BY_VALUE = NAMED.format(group="CAST(:group AS bigint)", low="CAST(:low AS bigint)", high="CAST(:high AS bigint)")
MISSED = f"""
WITH place AS MATERIALIZED (
    SELECT w.place, w.seq AS held_seq, w.change AS held_change, c.id, c.low, c.high, h.last_seq, h.change,
           m.visible_from, m.read_seq, m.delivered_seq, {UNREAD} AS unread
    FROM unnest(CAST(:groups AS bigint[]), CAST(:lows AS bigint[]), CAST(:highs AS bigint[]), CAST(:seqs AS bigint[]),
                CAST(:changes AS bigint[])) WITH ORDINALITY w("group", low, high, seq, change, place)
    JOIN conversations c ON {NAMED.format(group='w."group"', low="w.low", high="w.high")}
    JOIN conversation_heads h ON h.conversation_id = c.id
    JOIN memberships m ON m.conversation_id = c.id AND m.user_id = :user AND m.left_seq IS NULL
), found AS (
    SELECT p.place, false AS is_changed, row_number() OVER (PARTITION BY p.place ORDER BY e.seq DESC) AS rank, e.*
    FROM place p CROSS JOIN LATERAL (
        SELECT * FROM entries i WHERE i.conversation_id = p.id AND i.seq > greatest(p.held_seq, p.visible_from)
        ORDER BY i.seq DESC LIMIT :newest) e
    UNION ALL
    SELECT p.place, true, row_number() OVER (PARTITION BY p.place ORDER BY e.change), e.*
    FROM place p CROSS JOIN LATERAL (
        SELECT * FROM entries i WHERE i.conversation_id = p.id AND i.change > p.held_change
           AND i.changed_at IS NOT NULL AND i.seq <= p.held_seq AND i.seq > p.visible_from
        ORDER BY i.change LIMIT :changed) e
), weighed AS (
    SELECT f.*, count(*) OVER (PARTITION BY place, is_changed) AS found,
           sum(octet_length(content) + coalesce(octet_length(body), 0) + :row_bytes)
               OVER (ORDER BY rank, place, is_changed) AS bytes
    FROM found f
)
SELECT p.*, e.is_changed, e.found, {ENTRY}
FROM place p LEFT JOIN weighed e ON e.place = p.place AND (e.bytes <= :bytes OR e.rank = 1)
ORDER BY p.place, e.is_changed, e.rank
"""  # noqa: S608 - put together of constants
