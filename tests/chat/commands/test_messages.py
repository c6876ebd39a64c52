"""What `message.send` takes."""

from types import SimpleNamespace
from typing import Any

import pytest
from marshmallow import ValidationError

from chat.commands.messages import CONTENT, MessageSendSchema, send
from chat.frames import Caller
from chat.messages import Sent


def refused(**data: Any) -> set[str]:
    """Return the names of the fields that are not taken."""
    with pytest.raises(ValidationError) as caught:
        MessageSendSchema().load(data)
    assert isinstance(caught.value.messages, dict)
    return set(caught.value.messages)


def test_a_message_is_loaded_with_everything_it_may_have() -> None:
    data = {
        "toUser": 5, "conversationId": "p1-5", "type": "text", "content": "hi", "localId": "a", "replyTo": "m1-2",
        "mentions": ["u1", "u2", "u1"], "metadata": {"a": {"b": 1}}, "readSeq": 0, "colour": "red",
    }  # fmt: skip
    assert MessageSendSchema().load(data) == {
        "to_user": "5", "conversation_id": "p1-5", "type": "text", "content": "hi", "local_id": "a", "reply_to": "m1-2",
        "mentions": ["u1", "u2"], "metadata": {"a": {"b": 1}}, "read_seq": 0,
    }  # fmt: skip


def test_without_a_type_it_is_text() -> None:
    assert MessageSendSchema().load({})["type"] == "text"


def test_null_is_as_good_as_nothing() -> None:
    names = [field.data_key for field in MessageSendSchema().fields.values()]
    assert set(MessageSendSchema().load(dict.fromkeys(names)).values()) == {None}


def test_the_longest_is_taken_and_one_more_is_not() -> None:
    longest = {"content": "x" * CONTENT, "localId": "é" * 32, "mentions": [f"u{number}" for number in range(50)]}
    assert MessageSendSchema().load(longest)["content"] == longest["content"]
    over = {"content": "x" * (CONTENT + 1), "localId": "é" * 33, "mentions": [f"u{number}" for number in range(51)]}
    assert refused(**over) == set(over)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", "a\0b"),
        ("content", "\ud800"),
        ("content", 5),
        ("localId", ""),
        ("toUser", ""),
        ("toUser", True),
        ("type", "x" * 17),
        ("metadata", []),
        ("readSeq", -1),
        ("readSeq", 2**63),
        ("readSeq", 1.5),
    ],
)
def test_what_cannot_be_kept_is_refused_by_the_field_s_name(field: str, value: Any) -> None:
    assert refused(**{field: value}) == {field}


def test_it_goes_to_the_node_and_not_to_a_transaction() -> None:
    caller, data, sent = Caller(1, "u1", 1), {"content": "hi"}, Sent(b"{}", known=False)
    asked: list[Any] = []
    node = SimpleNamespace(send=lambda *given: asked.append(given) or sent)
    assert send.direct
    assert send.run(node, caller, data) is sent
    assert asked == [(caller, data)]
