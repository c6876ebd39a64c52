"""What `ping` answers."""

from types import SimpleNamespace

from chat.commands import verbs
from chat.frames import Caller


def test_a_ping_is_answered_with_the_servers_time_whatever_comes_with_it() -> None:
    verb = verbs()["ping"]
    node = SimpleNamespace(wire_now=lambda: "2026-01-02T03:04:05.678901Z")
    data = verb.schema().load({"anything": 1})
    assert verb.run(node, Caller(1, "u1", 1), data) == {"serverTime": "2026-01-02T03:04:05.678901Z"}
