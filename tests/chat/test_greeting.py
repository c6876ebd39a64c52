"""What a session is told first."""

from types import SimpleNamespace

from chat.cursor import Cursor
from chat.greeting import hello
from tests.chat.carrier import session_of
from tests.chat.world import DEFAULTS


def test_it_says_who_the_session_is_where_it_stands_and_what_it_may_do() -> None:
    session = session_of(7)
    node = SimpleNamespace(config=DEFAULTS, wire_now=lambda: "now", generation="g1")
    event = hello(node, session, Cursor("g1", "e", 5, 6), resumed=True)
    assert (event.name, event.target, event.logged) == ("hello", 7, False)
    told = event.data
    assert (told["sessionId"], told["user"]["id"], told["resumed"]) == (session.id, session.caller.public_id, True)
    assert (told["serverTime"], told["generation"]) == ("now", "g1")
    cursor = Cursor.decode(told["cursor"])
    assert cursor is not None
    assert (cursor.n, cursor.session_id) == (5, session.id)
    assert told["limits"]["uploadBytes"] == DEFAULTS["UPLOAD_BYTES"]
