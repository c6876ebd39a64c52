"""The two kinds of no: `ChatError` answers one command, `CloseReason` ends a session.

This file is the one table of both. Doors translate them (HTTP status, error frame, Socket.IO ack, STOMP ERROR); nobody
else makes up a code. Services raise the first; only session and node use the second.
"""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

__all__ = ["CODES", "ChatError", "CloseReason", "Code"]


@dataclass(frozen=True, slots=True)
class Code:
    """A stable error code. `happened`: may the thing have been done all the same? `retry`: is it worth asking again?"""

    name: str
    status: int
    message: str
    happened: bool = False
    retry: str = "no"


_TABLE = (
    Code("invalid", 400, "The request is not understood."),
    Code("empty_content", 400, "The message has no content."),
    Code("content_too_long", 400, "The message is too long."),
    Code("unknown_verb", 400, "There is no such command."),
    Code("unknown_media", 400, "There is no such upload, or it is not yours to send."),
    Code("not_authenticated", 401, "Please log in.", retry="with a token"),
    Code("bad_token", 401, "The token is not valid (any more).", retry="with a new token"),
    Code("bad_credentials", 401, "Name or password is wrong."),
    Code("forbidden", 403, "You may not do that."),
    Code("not_a_member", 403, "You are not a member of this conversation."),
    Code("muted", 403, "You may not write here at the moment."),
    Code("join_not_allowed", 403, "This group is not open."),
    Code("bad_origin", 403, "Pages of this origin may not call."),
    Code("not_found", 404, "There is nothing here."),
    Code("unknown_user", 404, "There is no such user."),
    Code("unknown_message", 404, "There is no such message."),
    Code("method_not_allowed", 405, "This address does not take that method."),
    Code("name_taken", 409, "This name is taken."),
    Code("local_id_conflict", 409, "This localId was used for another content."),
    Code("idempotency_conflict", 409, "This Idempotency-Key was used for another request."),
    Code("group_full", 409, "The group is full."),
    Code("last_owner", 409, "A group needs an owner: hand it over first."),
    Code("already_authenticated", 409, "This connection belongs to somebody already."),
    Code("too_large", 413, "That is too large."),
    Code("unsupported_media", 415, "This kind of content is not taken."),
    Code("rate_limited", 429, "Too much at once. Please wait.", retry="after retryAfter"),
    Code("too_many_sessions", 429, "Too many connections.", retry="after another one has ended"),
    Code("internal", 500, "Something went wrong on our side.", happened=True, retry="with the same localId"),
    Code("overloaded", 503, "The server is busy. Please wait.", retry="after retryAfter"),
    Code(
        "unavailable",
        503,
        "It is not known whether that was done.",
        happened=True,
        retry="after retryAfter, with the same localId",
    ),
    Code("going_away", 503, "The server is restarting.", retry="after retryAfter"),
)
CODES: dict[str, Code] = {code.name: code for code in _TABLE}


class ChatError(Exception):
    """The answer to one command that is refused. `retry_after` is in seconds; `details` is plain JSON data."""

    def __init__(self, code: str, message: str = "", *, details: Any = None, retry_after: float | None = None):
        self.code = CODES[code]
        self.message = message or self.code.message
        self.details = details
        self.retry_after = retry_after
        super().__init__(f"{code}: {self.message}")

    def __reduce__(self) -> Any:
        """Have it copied as it was made: a task's process hands it to its worker."""
        more = {"details": self.details, "retry_after": self.retry_after}
        return partial(ChatError, self.code.name, self.message, **more), ()

    def as_data(self) -> dict[str, Any]:
        """Return the one error shape of every door: {code, message, details?, retryAfter?}."""
        data: dict[str, Any] = {"code": self.code.name, "message": self.message}
        if self.details is not None:
            data["details"] = self.details
        if self.retry_after is not None:
            data["retryAfter"] = round(self.retry_after, 3)
        return data


class CloseReason(Enum):
    """Why the server ends a session: (WebSocket close number, code in `bye`, should the client come back, sentence)."""

    GOING_AWAY = (1001, "going_away", True, "This server began to stop while the session opened.")
    RESTART = (1012, "restart", True, "The server is restarting.")
    LEFT = (1000, "left", False, "The client closed the connection.")
    LOST = (1006, "lost", True, "The client was heard of no more.")
    PROTOCOL = (1002, "protocol_error", True, "The client broke the rules of WebSocket.")
    UNSUPPORTED = (1003, "unsupported_data", True, "A binary frame came; commands are text.")
    IDLE = (1001, "idle", True, "No command came for IDLE_HOURS.")
    INTERNAL = (1011, "internal", True, "Something went wrong on our side.")
    LOGIN_ENDED = (4401, "login_ended", False, "The login was ended.")
    BAD_TOKEN = (4401, "bad_token", False, "The token is not valid (any more).")
    AUTH_TIMEOUT = (4408, "auth_timeout", True, "Nobody said in AUTH_SECONDS who they are.")
    SLOW = (4409, "too_slow", True, "More than OUTBOX_BYTES waited for the client.")
    TOO_BIG = (4413, "frame_too_big", True, "A frame was larger than FRAME_BYTES.")
    FLOODING = (4429, "flooding", True, "The client went on sending what was refused.")
    TOO_MANY = (4429, "too_many_sessions", True, "Too many sessions of this user, or sockets of this address.")

    @property
    def number(self) -> int:
        """The WebSocket close code."""
        return self.value[0]

    @property
    def code(self) -> str:
        """The word in `bye`."""
        return self.value[1]

    @property
    def come_back(self) -> bool:
        """Whether a client should connect again with what it has."""
        return self.value[2]

    @property
    def message(self) -> str:
        """A sentence for people, the `reason` in `bye`."""
        return self.value[3]
