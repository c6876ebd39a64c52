"""Unread counts, and the positions that move them: read, delivered."""

from collections.abc import Iterable
from typing import Any

import orjson
from marshmallow import fields
from marshmallow.validate import Length

from chat.commands import Verb
from chat.errors import ChatError
from chat.frames import Caller
from chat.ids import parse_conversation
from chat.schemas import WholeNumber, WireId, WireSchema

__all__ = ["DeliveredSchema", "ReadManySchema", "ReadOneSchema", "ReadSchema", "UnreadSchema"]

MOST = 100  # conversations read at once


class UnreadSchema(WireSchema):
    """Nothing is asked but who asks."""


class ReadSchema(WireSchema):
    """How far the user has read; without `seq` to the last entry that this session was handed, else to the end."""

    conversation_id = WireId(required=True)
    seq = WholeNumber(load_default=None, allow_none=True)


class ReadOneSchema(WireSchema):
    """The same, as one of many."""

    id = WireId(required=True)
    seq = WholeNumber(load_default=None, allow_none=True)


class ReadManySchema(WireSchema):
    """Conversations read."""

    conversations = fields.List(fields.Nested(ReadOneSchema), required=True, validate=Length(max=MOST))


class DeliveredSchema(WireSchema):
    """How far this device has the conversation's entries."""

    conversation_id = WireId(required=True)
    seq = WholeNumber(1, required=True)


def _unread(node: Any, caller: Caller, _data: dict[str, Any]) -> orjson.Fragment:
    return orjson.Fragment(node.tallies.answer(caller.user_id))


def _read(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    number = _number(node, data["conversation_id"])
    seq = node.last_handed(caller, number) if data["seq"] is None else data["seq"]
    answer: dict[str, Any] = node.positions.read(caller.user_id, number, seq, caller.session_id)
    return answer


def _read_many(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    asked = {one["id"]: one["seq"] for one in data["conversations"]}
    numbers = _numbers(node, asked)
    places = [(numbers[wire_id], seq) for wire_id, seq in asked.items() if wire_id in numbers]
    answers = dict(zip((number for number, _ in places), _moved(node, caller, places), strict=True))
    refused = ChatError("not_a_member").as_data()
    told = {wire_id: answers.get(numbers.get(wire_id, 0), {"error": refused}) for wire_id in asked}
    return {"conversations": told}


def _moved(node: Any, caller: Caller, places: list[tuple[int, int | None]]) -> list[dict[str, Any]]:
    answers = node.positions.read_many(caller.user_id, places, caller.session_id)
    return [{"error": answer.as_data()} if isinstance(answer, ChatError) else answer for answer in answers]


def _delivered(node: Any, caller: Caller, data: dict[str, Any]) -> dict[str, Any]:
    node.positions.delivered(caller.user_id, _number(node, data["conversation_id"]), data["seq"])
    return {"success": True}


def _number(node: Any, wire_id: str) -> int:
    numbers = _numbers(node, [wire_id])
    if not numbers:
        raise ChatError("not_a_member")
    return numbers[wire_id]


def _numbers(node: Any, wire_ids: Iterable[str]) -> dict[str, int]:
    """Return the conversations' numbers; what is nobody's id is left out. The positions know who is a member."""
    places = {}
    for wire_id in wire_ids:
        try:
            places[wire_id] = parse_conversation(wire_id)
        except ChatError:
            continue
    numbers = node.directory.conversations(places.values())
    return {wire_id: numbers[place] for wire_id, place in places.items() if place in numbers}


unread = Verb("unread", UnreadSchema, _unread, cost=2.0, direct=True)
read = Verb("read", ReadSchema, _read, direct=True)
read_many = Verb("unread.read", ReadManySchema, _read_many, cost=5.0, direct=True)
delivered = Verb("delivered", DeliveredSchema, _delivered, direct=True)
