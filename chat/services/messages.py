"""Reading a conversation's history, page by page. Sending is the writer's."""

from typing import Any

from chat import history
from chat.ids import parse_conversation
from chat.transaction import Transaction

__all__ = ["page"]


def page(
    tx: Transaction, user_id: int, wire_id: str, before: int | None, after: int | None, limit: int
) -> dict[str, Any]:
    """Return {messages, hasMore}, rising: the newest before `before`, or with `after` the oldest after it (seqs).

    Raises ChatError not_a_member.
    """
    found = history.page(tx, user_id, parse_conversation(wire_id), before, after, limit)
    return {"messages": found.messages, "hasMore": found.has_more}
