"""Who is here: state that begins empty."""

from chat.audience import Audience, LocalUser
from chat.frames import CONVERSATION, Event


def test_a_user_begins_without_anything() -> None:
    user = LocalUser(7, "ann")
    assert (user.id, user.public_id, user.sessions, user.conversations, user.peers) == (7, "ann", [], set(), set())


def test_a_room_is_behind_while_something_waits_or_is_known_to_be_committed() -> None:
    room = Audience(5, 10, 2)
    assert (room.gate.last, room.version, room.users, room.early) == (10, 2, {}, None)
    assert not room.behind
    room.wanted = 11
    assert room.behind
    room.gate.offer(Event("message", b"{}", CONVERSATION, 5, change=11))
    assert not room.behind
    room.gate.offer(Event("message", b"{}", CONVERSATION, 5, change=13))
    assert room.behind
