"""What the core's tests have, here too."""

from tests.chat.conftest import engine, world

__all__ = ["engine", "world"]
