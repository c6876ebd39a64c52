"""Unread counts, and the positions that move them."""

from flask import Blueprint, Response

from chat.answers import ReadAnswerSchema, ReadManyAnswerSchema, UnreadAnswerSchema
from chat.rest import describe, run_verb, sent
from chat.schemas import DoneSchema

__all__ = ["blueprint"]

blueprint = Blueprint("unread", __name__, url_prefix="/api/v1")


@blueprint.get("/unread")
@describe("Count what is unread, in all and by conversation.", verb="unread", response=UnreadAnswerSchema)
def unread() -> Response:
    """Answer the caller's unread counts."""
    return run_verb("unread", sent())


@blueprint.post("/unread/read")
@describe("Read many conversations.", verb="unread.read", response=ReadManyAnswerSchema, errors=("unavailable",))
def read_many() -> Response:
    """Move the caller's read positions."""
    return run_verb("unread.read", sent())


@blueprint.post("/conversations/<conversation_id>/read")
@describe(
    "Read a conversation up to an entry, or to its end.",
    verb="read", response=ReadAnswerSchema, errors=("not_a_member", "unavailable"),
)  # fmt: skip
def read(conversation_id: str) -> Response:
    """Move the caller's read position."""
    return run_verb("read", sent(conversationId=conversation_id))


@blueprint.post("/conversations/<conversation_id>/delivered")
@describe("Tell that entries have arrived.", verb="delivered", response=DoneSchema, errors=("not_a_member",))
def delivered(conversation_id: str) -> Response:
    """Move the caller's delivered position, soon."""
    return run_verb("delivered", sent(conversationId=conversation_id))
