"""File: any upload, to be downloaded, and what the sender says to it; without words its content is the file's name."""

from chat.message_types import MessageType, caption

__all__ = ["file"]

file = MessageType("file", caption, frozenset({"image", "audio", "video", "file"}))
