"""A user's conversations: list, one of them, its members, what the user sets for themselves, typing."""

from typing import Any

from marshmallow import fields

from chat.commands import Verb
from chat.frames import Caller
from chat.schemas import PageSchema, WireId, WireSchema
from chat.services import conversations, members
from chat.services.views import View
from chat.transaction import Transaction, run_in_transaction

__all__ = ["ConversationSchema", "MembersSchema", "TypingSchema", "UpdateSchema"]


class ConversationSchema(WireSchema):
    """One conversation."""

    conversation_id = WireId(required=True)


class UpdateSchema(ConversationSchema):
    """What a member sets for themselves; what is missing stays."""

    pinned = fields.Boolean(load_default=None)
    muted = fields.Boolean(load_default=None, metadata={"description": "Nothing is pushed; unread still counts."})
    hidden = fields.Boolean(load_default=None, metadata={"description": "Not in the list until something new comes."})


class MembersSchema(PageSchema, ConversationSchema):
    """A page of the members."""

    positions = fields.Boolean(load_default=False, metadata={"description": "Positions of more than 200 members, too."})


class TypingSchema(ConversationSchema):
    """The user types, or has stopped."""

    typing = fields.Boolean(load_default=True)


def _list(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    found = run_in_transaction(
        node.engine, node, lambda tx: conversations.page(tx, caller.user_id, data["cursor"], data["limit"])
    )
    return {"conversations": _peopled(node, found.views), "nextCursor": found.next_cursor}


def _get(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    view = run_in_transaction(
        node.engine, node, lambda tx: conversations.get(tx, caller.user_id, data["conversation_id"])
    )
    return _peopled(node, [view])[0]


def _update(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    chosen = data["pinned"], data["muted"], data["hidden"]
    view = run_in_transaction(
        node.engine, node, lambda tx: conversations.update(tx, caller, data["conversation_id"], *chosen)
    )
    return _peopled(node, [view])[0]


def _clear(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    conversations.clear(tx, caller, data["conversation_id"])
    return {"success": True}


def _members(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    page = data["cursor"], data["limit"]
    return members.page(tx, caller.user_id, data["conversation_id"], *page, positions=data["positions"])


def _typing(tx: Transaction, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    conversations.typing(tx, caller, data["conversation_id"], data["typing"])
    return {"success": True}


def _peopled(node: Any, views: list[View]) -> list[dict[str, Any]]:
    """Return the conversations with their peers' presence, which is asked for once the transaction has ended."""
    peers = [view.peer_id for view in views if view.peer_id]
    states = node.presence.states(peers) if peers else {}
    for view in views:
        if view.peer_id in states:
            view.data["peer"]["online"] = states[view.peer_id][0]
    return [view.data for view in views]


list_ = Verb("conversation.list", PageSchema, _list, cost=3.0, direct=True)
get = Verb("conversation.get", ConversationSchema, _get, direct=True)
update = Verb("conversation.update", UpdateSchema, _update, direct=True)
clear = Verb("conversation.clear", ConversationSchema, _clear)
members_ = Verb("conversation.members", MembersSchema, _members, cost=2.0)
typing = Verb("typing", TypingSchema, _typing)
