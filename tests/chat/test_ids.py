"""Ids on the wire: they go round, and whatever a client makes up names nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import ChatError
from chat.ids import (
    LARGEST,
    conversation_wire_id,
    message_wire_id,
    parse_conversation,
    parse_message,
    valid_user_id,
)

numbers = st.integers(1, LARGEST)


@given(numbers, numbers, numbers)
def test_ids_go_round(number: int, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert parse_conversation(conversation_wire_id(number, None, None)) == (number, 0, 0)
    assert parse_conversation(conversation_wire_id(number, low, high)) == (0, low, high)
    assert parse_message(message_wire_id(one, other)) == (one, other)


def test_ids_look_as_clients_know_them() -> None:
    assert conversation_wire_id(12, None, None) == "g12"
    assert conversation_wire_id(12, 3, 7) == "p3-7"
    assert message_wire_id(12, 5) == "m12-5"


@given(st.text(max_size=30) | st.from_regex(r"[gpm][0-9]{0,22}(-[0-9]{0,22})?"))
def test_what_is_no_id_of_ours_is_refused_as_nobodys(text: str) -> None:
    try:
        group, low, high = parse_conversation(text)
        assert text == (f"g{group}" if group else f"p{low}-{high}")
        assert 0 <= max(group, low, high) <= LARGEST
    except ChatError as error:
        assert error.code.name == "not_a_member"
    try:
        conversation, seq = parse_message(text)
        assert text == f"m{conversation}-{seq}"
        assert 0 < max(conversation, seq) <= LARGEST
    except ChatError as error:
        assert error.code.name == "unknown_message"


@pytest.mark.parametrize(
    "text", ["", "g", "g0", "g01", "g-1", "p1", "p7-3", "p1-2-3", "g１", f"g{2**63}", "g1 ", "g1\n"]
)
def test_these_are_no_conversations(text: str) -> None:
    with pytest.raises(ChatError):
        parse_conversation(text)


def test_notes_to_oneself_are_a_conversation_of_one() -> None:
    assert parse_conversation("p7-7") == (0, 7, 7)


@pytest.mark.parametrize("text", ["user002", "42", "a", "x" * 64, "550e8400-e29b-41d4-a716-446655440000", "a@b.c"])
def test_host_ids_that_can_stand_on_the_wire(text: str) -> None:
    assert valid_user_id(text)


@pytest.mark.parametrize(
    "text", ["", "x" * 65, "a b", "a/b", "é", "a\n", "me", "conversations", "history", "read", "unread", "system"]
)
def test_host_ids_that_cannot(text: str) -> None:
    assert not valid_user_id(text)
