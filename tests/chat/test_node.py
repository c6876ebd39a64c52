"""A process: connects to nothing by itself, runs verbs in their unit of work, and lets no part of it die quietly."""

from collections.abc import Iterator
from typing import Any

import gevent
import orjson
import pytest
from sqlalchemy import Engine

from chat import durability
from chat import node as node_module
from chat.errors import ChatError
from chat.frames import CONVERSATION, Caller, Command, Event
from chat.messages import Sent
from chat.node import Node
from chat.outgoing import Outgoing
from tests.chat.carrier import session_of
from tests.chat.world import DEFAULTS, World

NOWHERE = {
    "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1",
    "JWT_SECRET": "s" * 32,
    "DATA_DIR": "",
}


@pytest.fixture
def node(engine: Engine, database_url: str, redis_url: str) -> Iterator[Node]:
    """A node that was not started: its loops do not run."""
    made = Node(DEFAULTS | NOWHERE | {"DATABASE_URL": database_url, "REDIS_URL": redis_url})
    yield made
    made.engine.dispose()
    made.redis.close()


@pytest.fixture
def ann(world: World) -> Caller:
    return world.person()


def refusal(node: Node, caller: Caller, op: str, **data: Any) -> ChatError:
    with pytest.raises(ChatError) as refused:
        node.run(caller, Command(op, None, data))
    return refused.value


def test_nothing_connects_before_the_start() -> None:
    node = Node(DEFAULTS | NOWHERE)
    assert (node.generation, node.draining, node.log.epoch) == ("", False, None)
    node.redis.close()


def test_an_unknown_verb_is_refused_by_name(node: Node, ann: Caller) -> None:
    error = refusal(node, ann, "message.explode")
    assert (error.code.name, error.details) == ("unknown_verb", {"op": "message.explode"})


def test_data_that_does_not_fit_is_refused_field_by_field(node: Node, ann: Caller) -> None:
    error = refusal(node, ann, "group.create", name=5)
    assert error.code.name == "invalid"
    assert set(error.details) == {"name"}


def test_a_verb_runs_in_its_unit_of_work_and_tells_after_it(node: Node, ann: Caller, world: World) -> None:
    told: list[Event] = []
    node.tell = told.extend  # type: ignore[method-assign]
    made = node.execute(ann, Command("group.create", None, {"name": "Club"}))
    assert world.number(made.data["id"] if hasattr(made, "data") else made["id"])
    assert CONVERSATION in {event.scope for event in told}


def test_a_creating_verb_takes_a_key_or_the_clients_own_id_once(node: Node, ann: Caller) -> None:
    def create(**more: Any) -> Any:
        data = {"name": "Club"} | more.pop("data", {})
        return orjson.dumps(
            node.execute(ann, Command("group.create", None, data, **more)), default=lambda view: view.data
        )

    assert create(idempotency_key="k") == create(idempotency_key="k")
    assert create(data={"localId": "l"}) == create(data={"localId": "l"})
    assert create() != create()


def test_a_message_from_outside_a_session_waits_for_the_writer(node: Node, ann: Caller) -> None:
    def submit(message: Outgoing) -> None:
        gevent.spawn(message.done, Sent(message.content.encode(), known=False))

    node.writer.submit = submit  # type: ignore[method-assign]
    assert node.execute(ann, Command("message.send", None, {"toUser": ann.public_id, "content": "hi"})).data == b"hi"
    node.writer.submit = lambda message: message.done(ChatError("muted"))  # type: ignore[method-assign]
    assert refusal(node, ann, "message.send", toUser=ann.public_id, content="hi").code.name == "muted"


def test_a_writer_that_does_not_answer_in_time_leaves_it_unknown(
    node: Node, ann: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "SEND_SECONDS", 0.02)
    node.writer.submit = lambda message: None  # type: ignore[method-assign]
    assert refusal(node, ann, "message.send", toUser=ann.public_id, content="hi").code.name == "unavailable"


def test_a_flooder_over_rest_is_told_to_wait_and_others_are_not(node: Node, ann: Caller, world: World) -> None:
    node.writer.submit = lambda message: message.done(message.refusal or Sent(b"", known=False))  # type: ignore[method-assign]
    codes = []
    for _ in range(int(DEFAULTS["MESSAGE_BURST"]) + 5):
        try:
            node.run(ann, Command("message.send", None, {"toUser": ann.public_id, "content": "hi"}))
            codes.append("sent")
        except ChatError as error:
            codes.append(error.code.name)
    assert codes[0] == "sent"
    assert codes[-1] == "rate_limited"
    bob = world.person()
    node.run(bob, Command("message.send", None, {"toUser": bob.public_id, "content": "hi"}))


def test_what_was_committed_is_delivered_here_whether_or_not_redis_takes_it(node: Node) -> None:
    session = session_of(1, owner=node.hub)
    node.hub.join(node.hub.enter(session), 7, 0, 1)
    node.tell([Event("message", b"{}", CONVERSATION, 7, change=1, seq=1, version=1)])
    assert session.carrier.changes() == [1]
    assert session.carrier.flushes == 1


def test_the_last_entry_that_a_session_was_handed_is_known(node: Node) -> None:
    session = session_of(1, owner=node.hub)
    node.hub.join(node.hub.enter(session), 7, 0, 1)
    assert node.last_handed(session.caller, 7) is None
    node.tell([Event("message", b"{}", CONVERSATION, 7, change=1, seq=5, version=1)])
    assert node.last_handed(session.caller, 7) == 5
    assert node.last_handed(session.caller, 8) is None
    assert node.last_handed(Caller(1, "u1", 1, "another"), 7) is None


def test_a_session_here_watches_at_once_and_nobody_else_is_told(node: Node) -> None:
    session = session_of(1, owner=node.hub)
    node.hub.enter(session)
    node.bus.publish = lambda events: pytest.fail("published")  # type: ignore[method-assign]
    node.watch(session.caller, [2])
    assert node.hub.watchers == {2: {session}}


def test_a_session_elsewhere_is_asked_for_by_an_event_whose_echo_is_waited_for(node: Node) -> None:
    told: list[Event] = []

    def publish(events: list[Event]) -> None:
        told.extend(events)
        gevent.spawn_later(0.02, setattr, events[0], "n", 1)

    node.bus.publish, node.log.epoch = publish, "e"  # type: ignore[method-assign]
    node.watch(Caller(1, "u1", 1, "elsewhere"), [2])
    (event,) = told
    assert (event.target, event.origin, event.data, event.n) == (1, "elsewhere", {"users": [2]}, 1)
    assert not node.hub.watchers


def test_without_redis_nobody_waits_for_an_echo(node: Node) -> None:
    with gevent.Timeout(0.5):
        node.watch(Caller(1, "u1", 1, "elsewhere"), [2])


def test_the_end_of_a_login_ends_its_sessions_here_at_once(node: Node) -> None:
    kept, ended = session_of(1, owner=node.hub, login=1), session_of(1, owner=node.hub, login=2)
    for session in (kept, ended):
        node.hub.enter(session)
    node.end_login(2)
    assert ended.carrier.closed[0].code == "login_ended"
    assert kept.carrier.closed is None


def test_a_part_that_fails_is_begun_anew(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def body() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("ours")

    monkeypatch.setattr(gevent, "sleep", lambda seconds: None)
    node._supervise("part", body)
    assert len(tries) == 3


def test_the_generation_is_learned_from_the_database(node: Node, world: World) -> None:
    node._learn_generation()
    assert node.generation == world.rows("SELECT generation FROM deployment")[0][0]


def test_a_database_that_may_forget_is_told_of_at_the_start_and_worked_with(
    node: Node, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(durability, "complaints", lambda settings: [f"fsync is {settings['fsync']}"])
    node._learn_generation()
    assert node.generation
    assert caplog.messages == ["fsync is on"]
