"""The types of messages, one file each: what a client may send as `type`, and what its content must be.

A module holds one `MessageType` and is found by being here. Pure; may import errors and the other modules' names only.
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["MessageType", "message_types"]


@dataclass(frozen=True, slots=True)
class MessageType:
    """One type. `content(data, most)` returns the content as it is kept or raises ChatError; `most`: characters."""

    name: str
    content: Callable[[Mapping[str, Any], int], str]


@cache
def message_types() -> dict[str, MessageType]:
    """Return every type of this folder by name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = (value for module in modules for value in vars(module).values() if isinstance(value, MessageType))
    return {found_type.name: found_type for found_type in found}
