"""AsyncAPI of the native protocol `chat.v1`: the commands as the verbs declare them, and the events.

Commands come from `chat/commands/`; an event that is told for the first time gets its line in EVENTS.
"""

from typing import Any

from marshmallow import Schema, fields

from chat.answers import MessageSchema
from chat.commands import verbs
from chat.openapi import OneErrorSchema, SchemaBook
from chat.schemas import WireSchema

__all__ = ["EVENTS", "asyncapi"]


class AuthSchema(WireSchema):
    """The first frame of a socket that came without token or ticket, within ten seconds."""

    token = fields.String(required=True)
    cursor = fields.String()


class HelloSchema(WireSchema):
    """The first event of a session."""

    user = fields.Dict(required=True, metadata={"description": "The `id` of whose session it is."})
    session_id = fields.String(required=True)
    cursor = fields.String(required=True)
    resumed = fields.Boolean(required=True)
    heartbeat = fields.Integer(required=True)
    poll_seconds = fields.Integer(required=True)
    server_time = fields.String(required=True)
    protocol = fields.String(required=True)
    generation = fields.String(required=True)
    limits = fields.Dict(required=True)


class CursorSchema(WireSchema):
    """Where this session stands; the last one seen resumes it (`/ws?cursor=`)."""

    cursor = fields.String(required=True)


class ReceiptSchema(WireSchema):
    """A member has got, or read, everything up to an entry."""

    conversation_id = fields.String(required=True)
    user_id = fields.String(required=True)
    delivered_seq = fields.Integer()
    read_seq = fields.Integer()


class TypingSchema(WireSchema):
    """A member types, or has stopped."""

    conversation_id = fields.String(required=True)
    user_id = fields.String(required=True)
    typing = fields.Boolean(required=True)


class PresenceEventSchema(WireSchema):
    """A user came or went. Of two words the one with the higher `number` holds."""

    user_id = fields.String(required=True)
    online = fields.Boolean(required=True)
    last_seen_at = fields.String(allow_none=True)
    number = fields.Integer(required=True)


class ConversationEventSchema(WireSchema):
    """Something of a conversation changed that is no entry; `kind` says what, further fields say how.

    With `change` it concerns all members, with `userChange` this user.
    """

    conversation_id = fields.String(required=True)
    kind = fields.String(required=True)
    change = fields.Integer()
    user_change = fields.Integer()


class UnreadEventSchema(WireSchema):
    """The user has read on another device. `unread` counts up to `lastSeq`: what is newer comes on top."""

    conversation_id = fields.String(required=True)
    read_seq = fields.Integer(required=True)
    unread = fields.Integer(required=True)
    last_seq = fields.Integer(required=True)
    user_change = fields.Integer()


class OfflineBatchSchema(WireSchema):
    """A part of what was missed, oldest first; the next comes once this one was taken."""

    messages = fields.List(fields.Nested(MessageSchema), required=True)
    remaining = fields.Integer(required=True)


class ByeSchema(WireSchema):
    """The server ends the session. With a cursor it can be resumed."""

    code = fields.String(required=True)
    reason = fields.String()
    cursor = fields.String()
    retry_after = fields.Float()


EVENTS: dict[str, tuple[str, type[Schema]]] = {
    "hello": ("The session is open.", HelloSchema),
    "cursor": ("Comes now and then.", CursorSchema),
    "message": ("A new entry. Durable: `conversationId` and `change` tell of holes.", MessageSchema),
    "message.updated": ("An entry as it is now. Who does not know it takes it as the entry.", MessageSchema),
    "receipt": ("To the authors of the entries passed over.", ReceiptSchema),
    "typing": ("Not durable.", TypingSchema),
    "presence": ("To private peers and to who watches.", PresenceEventSchema),
    "conversation": ("Durable.", ConversationEventSchema),
    "unread": ("To the user's other devices.", UnreadEventSchema),
    "offline.batch": ("What was missed.", OfflineBatchSchema),
    "resync": ("Too much was missed: fetch the conversations, `sync` what is held, fetch unread.", WireSchema),
    "bye": ("The last event of a session.", ByeSchema),
}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    book = SchemaBook("Chat server", "")
    channel = _ref("channels", "ws")
    schemas: dict[str, type[Schema]] = {"auth": AuthSchema}
    schemas |= {name: verb.schema for name, verb in sorted(verbs().items())}
    commands = {f"command.{name}": _command(book, name, schema) for name, schema in schemas.items()}
    events = {f"event.{name}": _event(book, name, *about) for name, about in EVENTS.items()}
    messages = {**commands, **events, "reply": _reply(book)}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Chat server, live", "version": "1", "description": ABOUT},
        "channels": {
            "ws": {"address": "/ws", "messages": {name: _ref("components/messages", name) for name in messages}},
        },
        "operations": {
            "send": {"action": "receive", "channel": channel, "messages": _in_channel(commands)},
            "hear": {"action": "send", "channel": channel, "messages": _in_channel([*events, "reply"])},
        },
        "components": {"messages": messages, "schemas": book.referred()},
    }


ABOUT = (
    "JSON text frames over WebSocket. Authenticate by `Authorization: Bearer` on the upgrade, by `?ticket=`, or by a "
    "first frame `auth`. Long-poll (`/api/v1/poll`) and SSE (`/api/v1/stream`) carry the same events."
)


def _command(book: SchemaBook, name: str, schema: type[Schema]) -> dict[str, Any]:
    properties = {
        "op": {"const": name},
        "id": {"type": ["integer", "string"], "description": "Comes back as `re`; without it there is no answer."},
        "data": book.json_schema(schema),
    }
    about = book.json_schema(schema).get("description", "")
    return {"title": name, "summary": about, "payload": _object(properties, ["op"])}


def _event(book: SchemaBook, name: str, summary: str, schema: type[Schema]) -> dict[str, Any]:
    properties = {"event": {"const": name}, "data": book.json_schema(schema), "cursor": {"type": "string"}}
    return {"title": name, "summary": summary, "payload": _object(properties, ["event", "data"])}


def _reply(book: SchemaBook) -> dict[str, Any]:
    data = {"description": "What the REST route of the same command answers."}
    number = {"type": ["integer", "string", "null"]}
    properties = {"re": number, "data": data, "error": book.json_schema(OneErrorSchema)}
    summary = "Answers a command: `data`, or `error`."
    return {"title": "reply", "summary": summary, "payload": _object(properties, ["re"])}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _ref(place: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/{place}/{name}"}


def _in_channel(names: Any) -> list[dict[str, str]]:
    return [_ref("channels/ws/messages", name) for name in names]
