"""From the data of `message.send` to a message for the writer: checked, addressed, with its digest.

Twenty thousand times a second this takes a short way: a dict of plain texts needs no marshmallow. Whatever is unusual
or wrong goes through the schema, which knows how to say what is wrong.
"""

import secrets
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import count
from typing import Any

import orjson
from marshmallow import ValidationError

from chat.commands.messages import MessageSendSchema
from chat.directory import Directory
from chat.errors import ChatError
from chat.frames import Caller
from chat.ids import parse_conversation
from chat.media import Attachment
from chat.message_types import MessageType, message_types
from chat.messages import Sent
from chat.outgoing import Outgoing
from chat.schemas import refusal

__all__ = ["Sending"]

PLAIN = {
    "toUser": 64,
    "conversationId": 64,
    "type": 16,
    "content": 200_000,
    "localId": 64,
}  # fields the short way knows, with their characters
EXTRAS = ("replyTo", "mentions", "metadata")  # fields of a message kept in its body, in the order in which they go out


class Sending:
    """Makes `Outgoing`s. `uploaded(user, name)` asks the database for an upload that the user may send."""

    def __init__(
        self,
        directory: Directory,
        config: Mapping[str, Any],
        uploaded: Callable[[int, str], Attachment | None] = lambda *_: None,
    ):
        self._directory, self._uploaded = directory, uploaded
        self._most = config["CONTENT_CHARACTERS"]
        self._metadata_bytes = config["METADATA_BYTES"]
        self._schema = MessageSendSchema()
        self._prefix = secrets.token_hex(6)
        self._made = count(1)

    def address_known(self, data: Mapping[str, Any]) -> bool:
        """Tell whether `compose` will manage without waiting for the database."""
        if "mediaId" in data:
            return False
        peer = data.get("toUser")
        return peer is None or (type(peer) is str and self._directory.known_number(peer) is not None)

    def compose(self, caller: Caller, data: dict[str, Any], done: Callable[[Sent | ChatError], None]) -> Outgoing:
        """Return the message that `data` asks for. Raises ChatError."""
        plain = _plain(data)
        if not plain:
            data = self._loaded(data)
        kind = message_types().get(data.get("type") or "text")
        if kind is None:
            raise ChatError("invalid", details={"type": [f"Must be one of: {', '.join(message_types())}."]})
        content = kind.content(data, self._most)
        body = None if plain else self._body(data)
        message = Outgoing(
            caller.user_id,
            caller.public_id,
            self._place(caller, data),
            data.get("localId") or f"{self._prefix}-{next(self._made)}",
            _digest(kind.name, content, body),
            kind.name,
            content,
            body,
            data.get("readSeq"),
            caller.session_id,
            done,
        )
        if kind.media or not plain:
            self._attach(message, kind, data)
        return message

    def _attach(self, message: Outgoing, kind: MessageType, data: Mapping[str, Any]) -> None:
        """Let the message use its upload. A resend of a stored one gets its answer, even if the upload is gone."""
        name = data.get("mediaId")
        if (name is not None) != bool(kind.media):
            raise ChatError("invalid", details={"mediaId": [f"A message of type {kind.name} {_wants(kind)}."]})
        if name is None:
            return
        # Over what the client said, for the upload's JSON changes when its thumbnail is ready.
        message.digest = _digest(kind.name, message.content, f"{message.body or ''}\0{name}")
        found = self._uploaded(message.sender_id, name)
        if found is None:
            message.refusal, message.ask_only = ChatError("unknown_media"), True
            if not data.get("localId"):
                raise message.refusal
        elif found.kind not in kind.media:
            raise ChatError("invalid", details={"mediaId": [f"This upload is no {kind.name}."]})
        else:
            message.attach(found.number, found.data, found.file_name)

    def _loaded(self, data: dict[str, Any]) -> dict[str, Any]:
        try:
            loaded = self._schema.load(data)
        except ValidationError as error:
            raise refusal(error) from error
        return {str(self._schema.fields[name].data_key): value for name, value in loaded.items() if value is not None}

    def _place(self, caller: Caller, data: Mapping[str, Any]) -> tuple[int, int, int]:
        """Return (group, low, high) of the conversation meant."""
        peer, wire_id = data.get("toUser"), data.get("conversationId")
        if (peer is None) == (wire_id is None):
            raise ChatError("invalid", "Name either `toUser` or `conversationId`.")
        if peer is not None:
            number = self._directory.number(str(peer))
            return (0, min(number, caller.user_id), max(number, caller.user_id))
        place = parse_conversation(str(wire_id))
        if place[1] and caller.user_id not in place:
            raise ChatError("not_a_member")
        return place

    def _body(self, data: Mapping[str, Any]) -> str | None:
        extras = {name: data[name] for name in EXTRAS if data.get(name) is not None}
        if not extras:
            return None
        try:
            size = len(orjson.dumps(extras.get("metadata")))
        except TypeError as error:  # nested deeper than can be written again
            raise ChatError("invalid", details={"metadata": ["Must not be nested so deep."]}) from error
        if size > self._metadata_bytes:
            raise ChatError("invalid", details={"metadata": [f"Must have at most {self._metadata_bytes} bytes."]})
        return orjson.dumps(extras).decode()


def _plain(data: Mapping[str, Any]) -> bool:
    """Tell whether every field is one of the usual texts, not empty, short enough and without NUL; None is not."""
    for name, value in data.items():
        if type(value) is not str or not 0 < len(value) <= PLAIN.get(name, 0):
            return False
        if not value.isprintable() and (name != "content" or "\0" in value):
            return False
    local_id = data.get("localId", "x")
    return local_id.isascii() or len(local_id.encode()) <= PLAIN["localId"]


def _wants(kind: MessageType) -> str:
    return "needs an upload" if kind.media else "takes no upload"


def _digest(kind: str, content: str, body: str | None) -> int:
    digest = blake2b(f"{kind}\0{content}\0{body or ''}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
