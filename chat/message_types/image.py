"""Image: an upload that is an image, and what the sender says to it; without words its content is `[image]`."""

from collections.abc import Mapping
from typing import Any

from chat.message_types import MessageType, caption

__all__ = ["image"]


def _content(data: Mapping[str, Any], most: int) -> str:
    return caption(data, most) or "[image]"


image = MessageType("image", _content, frozenset({"image"}))
