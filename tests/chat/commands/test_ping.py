from types import SimpleNamespace

from chat.commands import verbs
from chat.frames import Caller


def test_a_ping_tells_the_servers_time():
    node = SimpleNamespace(wire_now=lambda: "2026-01-02T03:04:05.000006Z")
    assert verbs()["ping"].run(node, Caller(1, "u1", 1), {}) == {"serverTime": "2026-01-02T03:04:05.000006Z"}
