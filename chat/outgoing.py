"""A message between its sender and the database: checked, addressed, and on its way through the writer."""

import time
from collections.abc import Callable
from typing import Any

from chat.errors import ChatError
from chat.frames import CONVERSATION, Event
from chat.ids import conversation_wire_id
from chat.messages import Sent, message_json

__all__ = ["Outgoing"]


class Outgoing:
    """A message on its way to the database. `done(answer)` is called once, with Sent or ChatError, and must not wait.

    `group` is the conversation's number, or 0 for the private conversation of `low` and `high`. `ask_only`: a flooder's
    message is not written, but a resend of an old one gets its answer. `key` names the conversation; `identity` tells a
    message from others, however often it is sent. `media` is the number of the upload that it uses, None without.
    """

    __slots__ = (
        "accepted",
        "ask_only",
        "body",
        "busy",
        "content",
        "copies",
        "digest",
        "done",
        "group",
        "high",
        "identity",
        "key",
        "local_id",
        "low",
        "media",
        "origin",
        "read_seq",
        "refusal",
        "sender",
        "sender_id",
        "size",
        "type",
    )

    def __init__(
        self,
        sender_id: int,
        sender: str,
        place: tuple[int, int, int],
        local_id: str,
        digest: int,
        type: str,  # noqa: A002 (the field's name)
        content: str,
        body: str | None,
        read_seq: int | None,
        origin: str,
        done: Callable[[Sent | ChatError], None],
    ):
        self.sender_id, self.sender = sender_id, sender
        self.group, self.low, self.high = place
        self.key = place
        self.identity = (*place, sender, local_id)
        self.local_id, self.digest = local_id, digest
        self.type, self.content, self.body = type, content, body
        self.read_seq, self.origin, self.done = read_seq, origin, done
        self.size = 200 + len(content) + len(body or "")
        self.accepted = time.monotonic()
        self.busy = 0
        self.copies: list[Outgoing] | None = None
        self.media: int | None = None
        self.ask_only = False
        self.refusal: ChatError | None = None

    def attach(self, number: int, data: str, content: str) -> None:
        """Let the message use an upload: `data` is the encoded JSON of its `media`; `content` stands where none is."""
        self.media = number
        self.content = self.content or content
        self.body = f'{{"media":{data}{"," if self.body else "}"}{(self.body or "")[1:]}'
        self.size += len(data) + len(content)

    @property
    def wire_id(self) -> str:
        """The conversation's id on the wire."""
        return conversation_wire_id(self.group, self.low or None, self.high or None)

    def json(
        self,
        conversation: int,
        seq: int,
        change: int,
        created_us: int,
        edited_us: int | None = None,
        recalled_us: int | None = None,
    ) -> bytes:
        """Return the message as it stands on the wire once the database has numbered it."""
        return message_json(
            self.wire_id,
            conversation,
            seq,
            change,
            self.sender,
            self.local_id,
            self.type,
            self.content,
            self.body,
            created_us,
            edited_us,
            recalled_us,
        )

    def row(self, place: int) -> dict[str, Any]:
        """Return what the database's function takes of the message, at a place of its batch."""
        return {
            "o": place,
            "c": self.group or None,
            "s": self.sender_id,
            "l": self.local_id,
            "d": self.digest,
            "t": self.type,
            "x": self.content,
            "b": self.body,
            "r": self.read_seq,
        }

    def event(self, conversation: int, seq: int, change: int, created_us: int, version: int) -> Event:
        """Return what tells of the message: `version` is the conversation's members_version at its commit."""
        private = not self.group
        return Event(
            "message",
            self.json(conversation, seq, change, created_us),
            CONVERSATION,
            conversation,
            change=change,
            seq=seq,
            version=version,
            members=tuple({self.low, self.high}) if private else (),
            origin=self.origin,
            private=private,
        )
