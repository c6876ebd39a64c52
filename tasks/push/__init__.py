"""Channels of push notifications, one module each, found by their being here.

A channel says by `is_on(settings)` whether it is set up, and `send(settings, note)` brings a note to its user: it
raises Later when it should be tried again. `note` is plain JSON data; tasks/pushes.py makes it and says what is in it.
A channel imports nothing of the server but `Later`.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

__all__ = ["Channel", "Later", "Note", "channels"]

Note = dict[str, Any]


class Later(Exception):  # noqa: N818 (what to do)
    """The note was not taken now, and may be later."""


class Channel(Protocol):
    """What a channel's module has."""

    def is_on(self, settings: Mapping[str, Any]) -> bool:
        """Tell whether this channel is set up."""

    def send(self, settings: Mapping[str, Any], note: Note) -> None:
        """Bring a note to its user. Raises Later."""


def channels(settings: Mapping[str, Any]) -> dict[str, Channel]:
    """Return the channels that are set up, by name."""
    found: dict[str, Any] = {
        module.name: import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    }
    return {name: channel for name, channel in found.items() if channel.is_on(settings)}
