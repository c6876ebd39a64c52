"""`message.send`: the one verb that goes to the writer instead of a transaction of its own."""

from typing import Any

from marshmallow import fields

from chat.commands import Verb
from chat.frames import Caller
from chat.messages import Sent
from chat.schemas import CommaList, LocalId, Text, WholeNumber, WireId, WireSchema

__all__ = ["MessageSendSchema", "send"]

CONTENT = 200_000  # characters let through to the type's own check, which knows the better error: a frame holds no more


class MessageSendSchema(WireSchema):
    """A new message, to a user or to a conversation."""

    to_user = WireId(allow_none=True, metadata={"description": "The other user's id; or conversationId."})
    conversation_id = WireId(allow_none=True)
    type = Text(16, load_default="text", allow_none=True)
    content = Text(CONTENT, allow_none=True)
    local_id = LocalId(
        allow_none=True, metadata={"description": "The client's own id; the same one means the same message, for ever."}
    )
    media_id = WireId(
        allow_none=True, metadata={"description": "The `id` of an upload (POST /uploads): with type image or file."}
    )
    reply_to = WireId(allow_none=True)
    mentions = CommaList(WireId(), 50, allow_none=True)
    metadata = fields.Dict(keys=fields.String(), allow_none=True)
    read_seq = WholeNumber(
        allow_none=True, metadata={"description": "How far the sender has read; without it, up to this message."}
    )


def _send(node: Any, caller: Caller, data: dict[str, Any]) -> Sent:
    answer: Sent = node.send(caller, data)
    return answer


send = Verb("message.send", MessageSendSchema, _send, direct=True)
