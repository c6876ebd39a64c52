"""A message on its way knows its place, and weighs what it takes of the writer's queue."""

from typing import Any

import pytest

from chat.ids import parse_conversation
from chat.outgoing import Outgoing


def message(place: tuple[int, int, int] = (7, 0, 0), content: str = "hi", body: str | None = None) -> Outgoing:
    answers: list[Any] = []
    return Outgoing(1, "u1", place, "local", 5, "text", content, body, None, "s1", answers.append)


@pytest.mark.parametrize("wire_id", ["g7", "p3-9", "p4-4"])
def test_its_conversation_has_the_id_by_which_it_was_addressed(wire_id: str) -> None:
    assert message(parse_conversation(wire_id)).wire_id == wire_id


def test_messages_of_one_conversation_share_a_key_and_others_do_not() -> None:
    places = ("g3", "p3-9", "p3-3", "p9-9")
    assert message(parse_conversation("p3-9")).key == message(parse_conversation("p3-9")).key
    assert len({message(parse_conversation(place)).key for place in places}) == len(places)


@pytest.mark.parametrize(("content", "body", "more"), [("", None, 0), ("x" * 500, None, 500), ("x", "{}" * 100, 201)])
def test_it_weighs_its_content_and_its_other_fields(content: str, body: str | None, more: int) -> None:
    empty = message(content="").size
    assert empty > 0, "even a message without content takes memory"
    assert message(content=content, body=body).size == empty + more


def test_it_begins_unrefused_unshared_and_to_be_written() -> None:
    one = message()
    assert (one.refusal, one.copies, one.busy, one.ask_only) == (None, None, 0, False)
