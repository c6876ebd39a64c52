"""Sync: what a client that knows where it stands lacks of many conversations, in one statement."""

from collections.abc import Mapping
from typing import Any

from chat import history
from chat.errors import ChatError
from chat.history import Missed, Wanted
from chat.ids import parse_conversation
from chat.transaction import Transaction

__all__ = ["states"]

NOWHERE = (0, 0, 0)  # the place of an id that can be nobody's


def states(tx: Transaction, user_id: int, held: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """Return the state of each conversation of `held` {wire id: {seq, change}}.

    A state is {messages, hasMore, changed, hasMoreChanged, lastSeq, change, readSeq, deliveredSeq, unread}; with
    `hasMoreChanged` its `change` is how far `changed` reaches, and the next sync goes on from there. Conversations that
    the user is not in (any more): {removed: True}.
    """
    found = history.missed(tx, user_id, [_wanted(wire_id, stand) for wire_id, stand in held.items()])
    return {
        wire_id: _state(found[place]) if place in found else {"removed": True} for place, wire_id in enumerate(held)
    }


def _wanted(wire_id: str, stand: Mapping[str, int]) -> Wanted:
    try:
        place = parse_conversation(wire_id)
    except ChatError:
        place = NOWHERE
    return Wanted(*place, stand["seq"], stand["change"])


def _state(missed: Missed) -> dict[str, Any]:
    head = missed.head
    return {
        "messages": missed.messages, "hasMore": missed.has_more,
        "changed": missed.changed, "hasMoreChanged": missed.has_more_changed,
        "lastSeq": head.last_seq, "change": missed.change,
        "readSeq": head.read_seq, "deliveredSeq": head.delivered_seq, "unread": head.unread,
    }  # fmt: skip
