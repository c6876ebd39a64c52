"""The life of sessions over a real server: hello, what was missed, how far a device had come when it left."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from chat.errors import ChatError, CloseReason
from chat.frames import Caller
from chat.node import Node
from chat.opening import Opened
from chat.sessions import MAKING, TOGETHER
from tests.chat.carrier import session_of
from tests.chat.world import DEFAULTS
from tests.clients.person import Person
from tests.clients.wire import PONG, Wire, masked, until_quiet
from tests.deployment import Deployment, Web, wait_for


def back(person: Person, cursor: str = "", **more: Any) -> Wire:
    """Come back with a cursor, or as a device without one."""
    return Wire(person.url, more.pop("token", person.token), path=f"/ws?cursor={cursor}" if cursor else "/ws", **more)


def until_content(wire: Wire, content: str) -> list[str]:
    """Read until a message of this content came; return the contents of all that came, in order."""
    got: list[str] = []
    while content not in got:
        frame = wire.until(lambda frame: frame.get("event") in ("message", "offline.batch"))
        got += [data["content"] for data in frame["data"].get("messages", [frame["data"]])]
    return got


def gone_at(deployment: Deployment, person: Person) -> Any:
    """Return when a person's only login left, once it is written."""
    import psycopg

    url = deployment.postgres.url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM l.gone_at) FROM logins l JOIN users u ON u.id = l.user_id WHERE u.public_id = %s",  # noqa: E501
            [person.id],
        ).fetchall()
    return rows[0][0]


# Hello and cursors.


def test_hello_says_who_and_where_and_what_is_allowed(ann: Person) -> None:
    with back(ann) as wire:
        hello = wire.event("hello")
        assert set(hello) >= {
            "user",
            "sessionId",
            "cursor",
            "resumed",
            "heartbeat",
            "pollSeconds",
            "serverTime",
            "protocol",
            "generation",
            "limits",
        }
        assert hello["resumed"] is False
        assert hello["limits"]["contentCharacters"] == 5_000
        assert hello["serverTime"].endswith("Z")


def test_hello_is_the_first_event_and_nothing_missed_comes_before_it(ann: Person, bob: Person) -> None:
    bob.send(ann, "missed")
    with back(ann) as wire:
        assert wire.until(lambda frame: "event" in frame)["event"] == "hello"
        assert until_content(wire, "missed") == ["missed"]


def test_a_client_goes_on_behind_its_cursor(ann: Person, bob: Person) -> None:
    with back(ann) as wire:
        wire.event("hello")
        bob.send(ann, "one")
        wire.event("message")
        cursor = wire.event("cursor")["cursor"]
    for turn in range(5):
        bob.send(ann, f"missed {turn}")
    with back(ann, cursor) as wire:
        assert wire.event("hello")["resumed"] is True
        assert until_content(wire, "missed 4") == [f"missed {turn}" for turn in range(5)]
        until_quiet(wire, 0.3)
        assert len(wire.events("message")) == 5


@pytest.mark.parametrize("cursor", ["nonsense", "W10", "x" * 5_000])
def test_a_cursor_that_is_none_of_ours_is_as_good_as_none(ann: Person, bob: Person, cursor: str) -> None:
    bob.send(ann, "missed")
    with back(ann, cursor) as wire:
        assert wire.event("hello")["resumed"] is False
        assert until_content(wire, "missed") == ["missed"]


def test_a_cursor_may_come_with_the_token_in_the_first_frame(ann: Person, bob: Person) -> None:
    with back(ann) as wire:
        cursor = wire.event("hello")["cursor"]
    bob.send(ann, "missed")
    with Wire(ann.url) as wire:
        wire.post("auth", token=ann.token, cursor=cursor)
        assert wire.event("hello")["resumed"] is True
        assert until_content(wire, "missed") == ["missed"]


def test_events_that_come_while_a_backlog_is_read_follow_it_once_and_in_order(ann: Person, bob: Person) -> None:
    with back(ann) as wire:
        cursor = wire.event("hello")["cursor"]
    with Wire.of(bob) as sender:
        for turn in range(150):
            sender.post("message.send", toUser=ann.id, content=f"{turn:03}")
        wire = back(ann, cursor)
        for turn in range(150, 300):
            sender.post("message.send", toUser=ann.id, content=f"{turn:03}")
        assert until_content(wire, "299") == [f"{turn:03}" for turn in range(300)]
        until_quiet(wire, 0.3)
        seqs = [data["seq"] for data in wire.events("message")]
        assert len(seqs) == len(set(seqs))


def test_the_next_chunk_waits_until_the_last_was_taken(ann: Person, bob: Person) -> None:
    with Wire.of(bob) as sender:
        numbers = [sender.post("message.send", toUser=ann.id, content=f"{turn:03}") for turn in range(120)]
        for number in numbers:
            sender.answer(number)
    with Wire(ann.url, ann.token) as wire:
        wire.pongs = False
        until_quiet(wire, 1.0)
        (batch,) = wire.events("offline.batch")
        assert (len(batch["messages"]), batch["remaining"]) == (50, 70)
        wire.raw(masked(wire.pings[-1], PONG))
        wire.pongs = True
        assert until_content(wire, "119")[-1] == "119"


def test_too_much_to_hand_over_is_told_as_resync_and_the_session_goes_live(ann: Person, bob: Person) -> None:
    content = "x" * 4_900
    with Wire.of(bob) as sender:
        numbers = [sender.post("message.send", toUser=ann.id, content=content) for _ in range(220)]
        for number in numbers:
            sender.answer(number)
    with back(ann) as wire:
        wire.event("resync")
        assert wire.events("message") == wire.events("offline.batch") == []
        bob.send(ann, "live")
        assert wire.event("message")["content"] == "live"


# Devices without a cursor.


def test_a_login_never_seen_gets_what_no_device_has_and_another_device_does_not_take_it_away(
    ann: Person, bob: Person
) -> None:
    with back(ann) as wire:
        wire.event("hello")
        conversation = bob.send(ann, "had by the first")["conversationId"]
        wire.event("cursor")
        assert "data" in wire.ask("ping")
        wait_for(lambda: bob.call("GET", f"/conversations/{conversation}")["peer"]["deliveredSeq"], 10, "delivered")
    bob.send(ann, "missed")
    with back(ann, token=ann.make_token()) as other:
        assert until_content(other, "missed") == ["missed"]
        other.event("cursor")
        assert "data" in other.ask("ping")
        other.close()
    with back(ann) as wire:
        assert "missed" in until_content(wire, "missed")


def test_a_device_that_left_in_order_is_handed_nothing_old_and_everything_new(
    deployment: Deployment, ann: Person, bob: Person
) -> None:
    with back(ann) as wire:
        wire.event("hello")
        bob.send(ann, "had")
        wire.event("message")
        wire.event("cursor")
        assert "data" in wire.ask("ping")
        wire.close()
    wait_for(lambda: gone_at(deployment, ann), 10, "the departure")
    bob.send(ann, "new")
    with back(ann) as wire:
        assert until_content(wire, "new")[-1] == "new"


def test_a_session_that_proved_nothing_moves_no_departure(deployment: Deployment, ann: Person, bob: Person) -> None:
    bob.send(ann, "never taken")
    begun = time.time()
    with Wire(ann.url, ann.token) as wire:
        wire.pongs = False
        until_content(wire, "never taken")
    time.sleep(1.5)  # a departure would be written within a second
    moment = gone_at(deployment, ann)
    assert moment is None or moment < begun
    with back(ann) as wire:
        assert "never taken" in until_content(wire, "never taken")


def test_a_session_that_was_refused_takes_nothing_away(servers: Callable[..., Web], deployment: Deployment) -> None:
    web = servers(SESSIONS_PER_USER=1)
    ann, bob = Person(web.url), Person(web.url)
    other = ann.make_token()
    with back(ann, token=other) as first:
        first.event("hello")
        first.close()
    keeper = Wire.of(ann)
    bob.send(ann, "missed by the other")
    keeper.event("message")
    with back(ann, token=other) as refused:
        assert refused.end() == 4429
    keeper.close()
    with back(ann, token=other) as wire:
        assert "missed by the other" in until_content(wire, "missed by the other")


# The end.


def test_bye_brings_the_cursor_of_who_took_everything(ann: Person, bob: Person, servers: Callable[..., Web]) -> None:
    with back(ann) as wire:
        wire.event("hello")
        wire.raw(masked(b"x", 2))
        wire.end()
        (bye,) = wire.events("bye")
    bob.send(ann, "missed")
    with back(ann, bye["cursor"]) as wire:
        assert wire.event("hello")["resumed"] is True
        assert until_content(wire, "missed") == ["missed"]


def test_bye_brings_no_cursor_to_who_did_not_prove_to_have_everything(ann: Person, bob: Person) -> None:
    with back(ann) as wire:
        wire.event("hello")
        wire.pongs = False
        bob.send(ann, "unproved")
        wire.event("message")
        wire.raw(masked(b"x", 2))
        wire.end()
        (bye,) = wire.events("bye")
        assert "cursor" not in bye


def test_commands_of_before_the_end_are_done_and_those_after_it_are_not(ann: Person, bob: Person) -> None:
    sent = [
        masked(json.dumps({"op": "message.send", "id": turn, "data": {"toUser": bob.id, "content": f"{turn}"}}))
        for turn in (1, 2)
    ]
    with Wire.of(ann) as wire:
        wire.raw(sent[0] + masked(b"x", 2) + sent[1])
        assert wire.end() == 1003
    listed = wait_for(lambda: bob.call("GET", "/conversations")["conversations"], 5, "the conversation")
    conversation = listed[0]["id"]
    wait_for(lambda: bob.history(conversation), 5, "the message")
    assert [message["content"] for message in bob.history(conversation)] == ["1"]


def test_a_user_that_a_token_cannot_name_is_refused_and_holds_nobody_up(deployment: Deployment, ann: Person) -> None:
    import jwt

    from tests.deployment import SECRET

    for name in ("a\0b", "a/b", "", "x" * 100, "me"):
        token = jwt.encode(
            {"sub": name, "jti": "j", "iat": int(time.time()), "exp": int(time.time()) + 60}, SECRET, "HS256"
        )
        with Wire(deployment.url, token) as wire:
            assert wire.status == 401 or wire.end() == 4401
    Wire.of(ann)


def test_ten_devices_of_one_user_see_the_same_and_each_reply_goes_to_who_asked(ann: Person, bob: Person) -> None:
    devices = [Wire.of(ann) for _ in range(10)]
    for place, device in enumerate(devices):
        device.send(bob, f"from {place}")
    for place, device in enumerate(devices):
        others = {f"from {other}" for other in range(10) if other != place}
        while {data["content"] for data in device.events("message")} != others:
            device.event("message")
        assert len(device.events("message")) == 9


@pytest.fixture
def node(database_url: str, redis_url: str) -> Iterator[Node]:
    """A node that was not started."""
    made = Node(DEFAULTS | {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "JWT_SECRET": "s" * 32})
    yield made
    made.redis.close()


def newcomers(node: Node, names: str) -> list[Any]:
    """Have the database refuse sessions with host tokens of these names; return them when all was done about it."""
    sessions = [session_of(place, owner=node.hub, live=False) for place in range(len(names))]
    for session, name in zip(sessions, names, strict=True):
        node.sessions.refused(session, name, False)
    wait_for(lambda: gevent.sleep(0.001) or not node.sessions._makers, 5, "the logins")
    return sessions


def test_newcomers_are_let_in_a_few_commits_at_a_time_and_the_refused_told(node: Node) -> None:
    asked: list[Any] = []
    batches: list[int] = []
    at_once: list[int] = []

    def authenticate_all(tokens: list[str]) -> list[Any]:
        batches.append(len(tokens))
        at_once.append(node.sessions._makers)
        gevent.sleep(0.01)
        return [ChatError("bad_token") if token == "x" else Caller(1, token, 7) for token in tokens]

    node.auth.authenticate_all = authenticate_all  # type: ignore[method-assign, assignment]
    node.opening.ask = lambda session, named: asked.append(named.public_id)  # type: ignore[method-assign]
    sessions = newcomers(node, "a" * 30 + "x" + "b" * 60)
    assert sorted(asked) == ["a"] * 30 + ["b"] * 60
    assert [session.carrier.closed[0] for session in sessions if session.carrier.closed] == [CloseReason.BAD_TOKEN]
    assert (sum(batches), max(batches), max(at_once)) == (91, TOGETHER, MAKING)


def test_one_newcomer_whom_the_database_chokes_on_keeps_nobody_else_out(node: Node) -> None:
    asked: list[Any] = []

    def authenticate_all(tokens: list[str]) -> list[Any]:
        if "x" in tokens:
            raise ValueError("ours")
        return [Caller(1, token, 7) for token in tokens]

    node.auth.authenticate_all = authenticate_all  # type: ignore[method-assign, assignment]
    node.opening.ask = lambda session, named: asked.append(named.public_id)  # type: ignore[method-assign]
    sessions = newcomers(node, "axb")
    assert asked == ["a", "b"]
    assert sessions[1].carrier.closed[0] is CloseReason.INTERNAL


def test_while_the_database_is_away_newcomers_are_told_to_come_back(node: Node) -> None:
    def authenticate_all(tokens: list[str]) -> list[Any]:
        raise ChatError("overloaded")

    node.auth.authenticate_all = authenticate_all  # type: ignore[method-assign, assignment]
    assert {session.carrier.closed[0] for session in newcomers(node, "ab")} == {CloseReason.INTERNAL}


def test_who_was_let_in_while_the_door_closed_is_sent_elsewhere_at_once(node: Node) -> None:
    early, late = session_of(1, owner=node.hub), session_of(2, owner=node.hub, live=False)
    node.hub.enter(early)
    node.sessions.end_all(CloseReason.RESTART, 0)
    node.hub.enter(late)
    node.sessions.opened(late, Opened(None, 0, []))
    assert early.carrier.closed[0] is CloseReason.RESTART
    reason, farewell = late.carrier.closed
    assert (reason, late.carrier.names()) == (CloseReason.GOING_AWAY, []), "not greeted first"
    assert json.loads(farewell.raw)["retryAfter"] > 0
    assert not node.hub.sessions
