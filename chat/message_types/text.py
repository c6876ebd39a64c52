"""Text: 1 to 5,000 characters; blanks at its ends are cut."""

from collections.abc import Mapping
from typing import Any

from chat.errors import ChatError
from chat.message_types import MessageType

__all__ = ["text"]


def _content(data: Mapping[str, Any], most: int) -> str:
    content = str(data.get("content") or "").strip()
    if not content:
        raise ChatError("empty_content")
    if len(content) > most:
        raise ChatError("content_too_long", details={"most": most})
    return content


text = MessageType("text", _content)
