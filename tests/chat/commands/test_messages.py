"""`message.send`: the verb goes to the writer, and its schema names what it takes."""

from typing import Any

import pytest
from marshmallow import ValidationError

from chat.commands import verbs
from chat.commands.messages import MessageSendSchema
from chat.frames import Caller
from chat.messages import Sent

ANN = Caller(7, "ann", 1, "s1")


def test_the_verb_hands_the_data_to_the_node_and_brings_back_its_answer() -> None:
    class Node:
        def send(self, caller: Caller, data: dict[str, Any]) -> Sent:
            assert caller is ANN
            return Sent(repr(data).encode(), known=False)

    verb = verbs()["message.send"]
    assert verb.direct
    assert verb.run(Node(), ANN, {"content": "hi"}).data == b"{'content': 'hi'}"


def test_the_schema_knows_every_field_of_a_message_that_a_client_may_name() -> None:
    data = {
        "toUser": 42, "type": "text", "content": "hi", "localId": "l", "replyTo": "m1-1", "mentions": ["a", "a"],
        "metadata": {"a": 1}, "readSeq": "5", "unknown": 1,
    }  # fmt: skip
    loaded = MessageSendSchema().load(data)
    assert loaded == {
        "to_user": "42", "type": "text", "content": "hi", "local_id": "l", "reply_to": "m1-1", "mentions": ["a"],
        "metadata": {"a": 1}, "read_seq": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "field", ["toUser", "conversationId", "type", "content", "localId", "replyTo", "mentions", "metadata", "readSeq"]
)
def test_no_field_takes_nonsense(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        MessageSendSchema().load({field: [[{}]] if field != "metadata" else "text"})
    assert set(refused.value.messages) == {field}
