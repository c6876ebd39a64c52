"""Ids on the wire and numbers inside: the one place that knows how they look.

Conversations: groups `g{number}`, private ones `p{low}-{high}` of the users' numbers. Messages:
`m{conversation}-{seq}`, opaque to clients. Users: `u{number}`, or what the host application calls them. Nothing here
proves that the thing exists.
"""

import re

from chat.errors import ChatError

__all__ = ["conversation_wire_id", "message_wire_id", "parse_conversation", "parse_message", "valid_user_id"]

LARGEST = 2**63 - 1
CONVERSATION = re.compile(r"g([1-9]\d{0,18})|p([1-9]\d{0,18})-([1-9]\d{0,18})", re.ASCII)
MESSAGE = re.compile(r"m([1-9]\d{0,18})-([1-9]\d{0,18})", re.ASCII)
USER = re.compile(r"[!-.0-~]{1,64}", re.ASCII)
RESERVED = {"me", "conversations", "history", "read", "unread", "system"}


def conversation_wire_id(number: int, low: int | None, high: int | None) -> str:
    """Return a conversation's id on the wire; `low` and `high` are None for a group."""
    return f"g{number}" if low is None else f"p{low}-{high}"


def parse_conversation(wire_id: str) -> tuple[int, int, int]:
    """Return (group's number, 0, 0) or (0, low, high). Raises ChatError not_a_member for what nobody can have."""
    match = CONVERSATION.fullmatch(wire_id)
    if match is None:
        raise ChatError("not_a_member")
    group, low, high = (int(part or 0) for part in match.groups())
    if max(group, low, high) > LARGEST or low > high:
        raise ChatError("not_a_member")
    return group, low, high


def message_wire_id(conversation: int, seq: int) -> str:
    """Return an entry's id on the wire."""
    return f"m{conversation}-{seq}"


def parse_message(wire_id: str) -> tuple[int, int]:
    """Return (conversation, seq). Raises ChatError unknown_message."""
    match = MESSAGE.fullmatch(wire_id)
    if match is None or max(int(match[1]), int(match[2])) > LARGEST:
        raise ChatError("unknown_message")
    return int(match[1]), int(match[2])


def valid_user_id(text: str) -> bool:
    """Tell whether a host's user id can stand on the wire and in a path: 1 to 64 printable ASCII, no blank or `/`."""
    return USER.fullmatch(text) is not None and text not in RESERVED
