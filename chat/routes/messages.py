"""Messages over REST: sending to a user or into a conversation, and history."""

from flask import Blueprint, Response

from chat.answers import MessagePageSchema, MessageSchema
from chat.rest import describe, run_verb, sent

__all__ = ["blueprint"]

blueprint = Blueprint("messages", __name__, url_prefix="/api/v1")
REFUSALS = (
    "not_a_member", "muted", "unknown_user", "empty_content", "content_too_long", "unknown_media", "local_id_conflict",
    "rate_limited", "overloaded", "unavailable",
)  # fmt: skip


@blueprint.post("/users/<user_id>/messages")
@describe(
    "Send a private message; 200 for a known localId.",
    verb="message.send", response=MessageSchema, status=201, errors=REFUSALS, without=("toUser", "conversationId"),
)  # fmt: skip
def send_to_user(user_id: str) -> Response:
    """Write a message to a user; the first one makes the conversation."""
    return run_verb("message.send", sent(toUser=user_id))


@blueprint.post("/conversations/<conversation_id>/messages")
@describe(
    "Send a message into a conversation; 200 for a known localId.",
    verb="message.send", response=MessageSchema, status=201, errors=REFUSALS, without=("toUser", "conversationId"),
)  # fmt: skip
def send(conversation_id: str) -> Response:
    """Write a message into a conversation."""
    return run_verb("message.send", sent(conversationId=conversation_id))


@blueprint.get("/conversations/<conversation_id>/messages")
@describe("Read history, by seq.", verb="history", response=MessagePageSchema, errors=("not_a_member",))
def history(conversation_id: str) -> Response:
    """Answer a page of entries in rising order."""
    return run_verb("history", sent(conversationId=conversation_id))
