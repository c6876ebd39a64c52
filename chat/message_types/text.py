"""Text: 1 to 5,000 characters; blanks at its ends are cut, and something of it must be seen."""

from collections.abc import Mapping
from typing import Any

from chat.errors import ChatError
from chat.message_types import MessageType
from chat.text import is_seen

__all__ = ["text"]


def _content(data: Mapping[str, Any], most: int) -> str:
    content = str(data.get("content") or "").strip()
    if not is_seen(content):
        raise ChatError("empty_content")
    if len(content) > most:
        raise ChatError("content_too_long", details={"most": most})
    return content


text = MessageType("text", _content)
