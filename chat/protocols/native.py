"""`chat.v1`, the native wire language: one JSON object a frame, UTF-8."""

import re
from functools import lru_cache
from typing import Any

import orjson

from chat.errors import ChatError
from chat.frames import Command, Event

__all__ = ["decode", "encode_event", "encode_failure", "encode_reply", "name"]

name = "native"
VERB = re.compile(r"[a-z]+(?:\.[a-z]+){0,3}", re.ASCII)
ID_BYTES = 64  # a client's number for a command comes back in the answer: it must not be a load


def decode(frame: bytes) -> Command:
    """Return the command of a frame. Raises ChatError `invalid`, with the command's id in `details` if it was read."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise ChatError("invalid", f"The frame is no JSON: {error}") from error
    if type(value) is not dict:
        raise ChatError("invalid", "The frame is no JSON object.")
    number = value.get("id")
    if not (
        number is None
        or (type(number) is int and abs(number) < 2**53)
        or (type(number) is str and len(number) <= ID_BYTES)
    ):
        raise ChatError("invalid", "`id` must be a number or a short text.")
    op, data = value.get("op"), value.get("data")
    if type(op) is not str or len(op) > ID_BYTES or not _names_a_verb(op):
        raise ChatError("invalid", "`op` must name a command.", details={"id": number})
    if data is None:
        data = {}
    elif type(data) is not dict:
        raise ChatError("invalid", "`data` must be an object.", details={"id": number})
    return Command(op, number, data)


@lru_cache(maxsize=256)  # the same few verbs 20,000 times a second; nonsense only pushes itself out
def _names_a_verb(op: str) -> bool:
    return VERB.fullmatch(op) is not None


def encode_event(event: Event) -> bytes:
    """Return an event's frame."""
    return b'{"event":"%b","data":%b}' % (event.name.encode(), event.raw)


def encode_reply(number: Any, data: bytes) -> bytes:
    """Return the answer to the command with this id; `data` is encoded JSON."""
    if type(number) is int:
        return b'{"re":%d,"data":%b}' % (number, data)
    return b'{"re":%b,"data":%b}' % (orjson.dumps(number), data)


def encode_failure(number: Any, error: ChatError) -> bytes:
    """Return the refusal of the command with this id (null where the frame had none that could be read)."""
    return orjson.dumps({"re": number, "error": error.as_data()})
