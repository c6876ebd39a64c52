"""Unread is arithmetic: the one SQL expression of it, O(1) for a conversation of any size.

All that was ever countable, less what stood at or before the read position (or is gone by retention), less one's own
after it, less what others recalled after it. The last is asked only where something was recalled after the read
position, of a partial index.
"""

__all__ = ["UNREAD"]

# For `h` conversation_heads and `m` memberships.
UNREAD = """greatest(0,
    h.last_count - greatest(m.read_count, h.first_count) - m.own_count
    - CASE WHEN h.last_recalled_seq > m.read_seq THEN (
        SELECT count(*) FROM entries r
        WHERE r.conversation_id = h.conversation_id AND r.seq > m.read_seq AND r.recalled_at IS NOT NULL
          AND r.sender_id IS DISTINCT FROM m.user_id) ELSE 0 END
)"""
