"""`/conversations`: the list, one of them, its members, and typing in it."""

from flask import Blueprint, Response

from chat.answers import ConversationListSchema, ConversationViewSchema, MemberListSchema
from chat.rest import describe, run_verb, sent
from chat.schemas import DoneSchema

__all__ = ["blueprint"]

blueprint = Blueprint("conversations", __name__, url_prefix="/api/v1/conversations")


@blueprint.get("")
@describe(
    "List conversations: pinned first, then the newest.", verb="conversation.list", response=ConversationListSchema
)
def list_() -> Response:
    """Answer a page of the caller's conversations."""
    return run_verb("conversation.list", sent())


@blueprint.get("/<conversation_id>")
@describe("Get a conversation.", verb="conversation.get", response=ConversationViewSchema, errors=("not_a_member",))
def get(conversation_id: str) -> Response:
    """Answer one conversation."""
    return run_verb("conversation.get", sent(conversationId=conversation_id))


@blueprint.patch("/<conversation_id>")
@describe(
    "Pin, silence or hide a conversation.",
    verb="conversation.update", response=ConversationViewSchema, errors=("not_a_member",),
)  # fmt: skip
def update(conversation_id: str) -> Response:
    """Change what the caller has set, and answer the conversation."""
    return run_verb("conversation.update", sent(conversationId=conversation_id))


@blueprint.delete("/<conversation_id>")
@describe("Clear a conversation for oneself.", verb="conversation.clear", response=DoneSchema, errors=("not_a_member",))
def clear(conversation_id: str) -> Response:
    """Take all entries out of the caller's sight."""
    return run_verb("conversation.clear", sent(conversationId=conversation_id))


@blueprint.get("/<conversation_id>/members")
@describe(
    "List the members, with their positions.",
    verb="conversation.members", response=MemberListSchema, errors=("not_a_member",),
)  # fmt: skip
def members(conversation_id: str) -> Response:
    """Answer a page of members."""
    return run_verb("conversation.members", sent(conversationId=conversation_id))


@blueprint.post("/<conversation_id>/typing")
@describe("Tell the others that one types.", verb="typing", response=DoneSchema, errors=("not_a_member",))
def typing(conversation_id: str) -> Response:
    """Tell that the caller types, or has stopped."""
    return run_verb("typing", sent(conversationId=conversation_id))
