"""Text: 1 to 5,000 characters; blanks at its ends are cut, and something of it must be seen."""

from collections.abc import Mapping
from typing import Any

from chat.errors import ChatError
from chat.message_types import MessageType, caption

__all__ = ["text"]


def _content(data: Mapping[str, Any], most: int) -> str:
    content = caption(data, most)
    if not content:
        raise ChatError("empty_content")
    return content


text = MessageType("text", _content)
