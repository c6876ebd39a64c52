"""History by wire id."""

import pytest

from chat.errors import ChatError
from chat.services import messages
from tests.chat.world import World


def test_both_read_a_private_conversation_and_nobody_else(world: World) -> None:
    ann, bob, eve = world.people("Ann", "Bob", "Eve")
    wire_id = world.send_to(bob, ann, "hello")
    for user in (ann, bob):
        found = world.read(messages.page, user.user_id, wire_id, None, None, 50)
        assert [message["content"] for message in found["messages"]] == ["hello"]
        assert found["hasMore"] is False
        assert found["messages"][0]["conversationId"] == wire_id
        assert found["messages"][0]["senderId"] == ann.public_id
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(messages.page, eve.user_id, wire_id, None, None, 50)


def test_a_conversation_that_does_not_exist_yet_has_no_history(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    with pytest.raises(ChatError, match="not_a_member"):
        world.do(messages.page, ann.user_id, f"p{ann.user_id}-{bob.user_id}", None, None, 50)
