"""The types of messages, one file each: what a client may send as `type`, and what its content must be.

A module holds one `MessageType` and is found by being here. Pure; may import errors, text and what stands here.
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from chat.errors import ChatError
from chat.text import is_seen

__all__ = ["MessageType", "caption", "message_types"]


@dataclass(frozen=True, slots=True)
class MessageType:
    """One type. `content(data, most)` returns the content as it is kept or raises ChatError; `most`: characters.

    `media`: the kinds of uploads of which it needs one. Of such a type an empty content becomes the upload's name.
    """

    name: str
    content: Callable[[Mapping[str, Any], int], str]
    media: frozenset[str] = frozenset()


def caption(data: Mapping[str, Any], most: int) -> str:
    """Return what is said to something else, empty if nothing can be seen. Raises ChatError content_too_long."""
    content = str(data.get("content") or "").strip()
    if len(content) > most:
        raise ChatError("content_too_long", details={"most": most})
    return content if is_seen(content) else ""


@cache
def message_types() -> dict[str, MessageType]:
    """Return every type of this folder by name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = (value for module in modules for value in vars(module).values() if isinstance(value, MessageType))
    return {found_type.name: found_type for found_type in found}
