from chat.catchup import MARGIN_US, Place
from chat.frames import CONVERSATION, Caller, Event
from chat.opening import Opened
from chat.resuming import Resuming, first_cursor, lacks
from chat.session import Session, State

NOW_US = 1_800_000_000_000_000
BUCKET_US = 8_000_000


def place(touched_us=0, behind=False):
    return Place(1, touched_us // BUCKET_US, behind, 9, 0)


def opened(gone_us, *places, user_touched_us=0):
    return Opened(gone_us, user_touched_us // BUCKET_US, list(places))


class Client:
    kind, provable = "test", False

    def __init__(self):
        self.got, self.is_live = [], False

    def event(self, event):
        self.got.append((event.name, event.change))

    def live(self):
        self.is_live = True


class Node:
    def __init__(self):
        self.hub = self

    def flush(self):
        pass

    def cursor_event(self):
        return Event.of("cursor", {"cursor": "c"}, "u", 0, logged=False)


def test_a_login_never_seen_lacks_what_no_device_of_the_user_has():
    assert lacks(opened(None, place(), place(behind=True)))
    assert not lacks(opened(None, place(NOW_US)))


def test_a_login_that_was_gone_lacks_what_was_touched_since_with_some_seconds_to_spare():
    assert lacks(opened(NOW_US, place(NOW_US + BUCKET_US)))
    assert lacks(opened(NOW_US, place(NOW_US - MARGIN_US + BUCKET_US)))
    assert lacks(opened(NOW_US, user_touched_us=NOW_US))
    assert not lacks(opened(NOW_US, place(NOW_US - MARGIN_US - 2 * BUCKET_US)))


def test_a_device_without_a_cursor_stands_at_its_last_departure_or_nowhere():
    assert first_cursor("g", opened(NOW_US)).time_us == NOW_US
    assert first_cursor("g", opened(None)).time_us == 0


def test_what_came_meanwhile_follows_once_the_session_turns_live():
    client = Client()
    session = Session("s", client, 0.0, Caller(1, "u1", 1))
    session.state = State.CATCHING
    for change in (1, 2):
        session.push(Event.of("message", {}, CONVERSATION, 5, change=change, seq=change))
    assert client.got == []
    Resuming(Node()).turn_live(session)
    assert client.got == [("message", 1), ("message", 2), ("cursor", 0)]
    assert (session.state, client.is_live) == (State.LIVE, True)
    session.push(Event.of("message", {}, CONVERSATION, 5, change=3, seq=3))
    assert client.got[-1] == ("message", 3)
