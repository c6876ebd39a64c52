"""What the positions' verbs take."""

import pytest
from marshmallow import ValidationError

from chat.commands import unread


def test_reading_without_a_seq_is_reading_to_the_end() -> None:
    assert unread.ReadSchema().load({"conversationId": 5}) == {"conversation_id": "5", "seq": None}
    assert unread.ReadManySchema().load({"conversations": [{"id": "g1"}, {"id": "g2", "seq": 4}]}) == {
        "conversations": [{"id": "g1", "seq": None}, {"id": "g2", "seq": 4}]
    }


@pytest.mark.parametrize("seq", [None, 0, -1, "x", 2**63])
def test_what_has_arrived_has_a_number(seq: object) -> None:
    with pytest.raises(ValidationError):
        unread.DeliveredSchema().load({"conversationId": "g1", "seq": seq})
