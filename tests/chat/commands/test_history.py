"""What `history` takes."""

from chat.commands.history import HistorySchema


def test_numbers_may_come_from_a_query() -> None:
    data = HistorySchema().load({"conversationId": "g1", "before": "10", "limit": "7"})
    assert data == {"conversation_id": "g1", "before": 10, "after": None, "limit": 7}
