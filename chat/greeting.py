"""`hello`: what a session is told first, of itself and of what it may do here."""

from typing import Any

from chat.cursor import Cursor
from chat.frames import USER, Event
from chat.session import Session

__all__ = ["hello"]

PROTOCOL = "chat.v1"
LIMITS = {
    "contentCharacters": "CONTENT_CHARACTERS",
    "metadataBytes": "METADATA_BYTES",
    "frameBytes": "FRAME_BYTES",
    "uploadBytes": "UPLOAD_BYTES",
}  # as they are told, and their settings


def hello(node: Any, session: Session, cursor: Cursor, resumed: bool) -> Event:
    """Return the greeting of a session that stands at `cursor`; `resumed`: the logs can be asked from there."""
    config = node.config
    data = {
        "user": {"id": session.caller.public_id},
        "sessionId": session.id,
        "cursor": cursor._replace(session_id=session.id).encode(),
        "resumed": resumed,
        "heartbeat": config["PING_SECONDS"],
        "pollSeconds": config["POLL_SECONDS"],
        "serverTime": node.wire_now(),
        "protocol": PROTOCOL,
        "generation": node.generation,
        "limits": {name: config[setting] for name, setting in LIMITS.items()},
    }
    return Event.of("hello", data, USER, session.caller.user_id, logged=False)
