"""The tail over a real database: what was committed and not told is found, read, delivered and logged."""

import secrets
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from redis import Redis
from sqlalchemy import text

from chat import tail as tail_module
from chat.frames import CONVERSATION, USER, Caller, Event
from chat.hub import Hub
from chat.postgres import Lost
from chat.tail import Tail
from tests.chat.carrier import session_of
from tests.chat.test_log import PATIENCE, Press
from tests.chat.world import World

# Every connection that a tail has, of whatever process.
END = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('chat tail', 'chat filling', 'chat members')
"""


class Watch:
    """A tail that looks when told to, over a hub with sessions, and a log."""

    def __init__(self, world: World, url: str, press: Press):
        self.world, self.press = world, press
        self.ended: list[int] = []
        self.behind: list[tuple[int, int]] = []
        self.hub: Hub
        self.tail = Tail(url, lambda: self.hub, press.log, self.ended.extend, lambda *given: self.behind.append(given))
        self.hub = Hub(self.tail.fill, self.tail.read_members)
        loops = {name: loop for name, loop in self.tail.loops.items() if name != "tail"}
        self.loops = [gevent.spawn(loop) for loop in loops.values()]
        self.since = 0

    def come(self, who: Caller, *wire_ids: str) -> Any:
        """Open a live session that has had everything so far."""
        session = session_of(who.user_id, owner=self.hub)
        user = self.hub.enter(session)
        for wire_id in wire_ids:
            number = self.world.number(wire_id)
            row = self.world.rows(
                "SELECT change, members_version FROM conversation_heads WHERE conversation_id = :id", id=number
            )[0]
            self.hub.join(user, number, *row)
        return session

    def look(self) -> None:
        self.since = self.tail._look_once(self.since)

    def told(self, wire_id: str, change: int) -> None:
        event = Event("message", b"{}", CONVERSATION, self.world.number(wire_id), change=change)
        audience = self.hub.audiences.get(event.target)
        if audience is not None:
            audience.gate.offer(event)
        self.tail.told([event])

    def wait(self, session: Any, count: int) -> list[str]:
        with gevent.Timeout(PATIENCE):
            while len(session.carrier.events) < count:
                gevent.sleep(0.005)
        return contents(session)

    def close(self) -> None:
        gevent.killall(self.loops)
        for statement in vars(self.tail).values():
            if hasattr(statement, "run"):
                statement.close()


def contents(session: Any) -> list[str]:
    return [event.data.get("content", event.name) for event in session.carrier.events]


@pytest.fixture
def watch(world: World, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setattr(tail_module, "SECOND_LOOK", 0.05)
    redis = Redis.from_url(redis_url)
    press = Press(redis, f"t{secrets.token_hex(4)}:")
    press.log.connect()
    made = Watch(world, database_url, press)
    yield made
    made.close()
    press.close()
    for key in redis.scan_iter(press.prefix + "*"):
        redis.delete(key)
    redis.close()


def test_what_was_committed_and_never_told_reaches_its_members(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    session = watch.come(ann, club)
    for turn in range(3):
        world.send(club, bob, f"{turn}")
    watch.look()
    assert watch.wait(session, 3) == ["0", "1", "2"]
    watch.look()
    assert contents(session) == ["0", "1", "2"]


def test_a_change_that_was_never_told_comes_as_an_update(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    seq = world.send(club, bob, "with a picture")
    session = watch.come(ann, club)
    world.sql(CHANGE, id=world.number(club), seq=seq)
    world.send(club, bob, "new")
    watch.look()
    watch.wait(session, 2)
    assert [(event.name, event.seq) for event in session.carrier.events] == [
        ("message.updated", seq),
        ("message", seq + 1),
    ]


def test_what_was_told_is_not_read_again(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    session = watch.come(ann, club)
    change = world.send(club, bob, "told")
    watch.told(club, change)
    reads: list[Any] = []
    watch.tail._after.run = lambda *given: reads.append(given)  # type: ignore[method-assign]
    watch.look()
    gevent.sleep(0.1)
    assert reads == []
    assert contents(session) == []


def test_what_became_of_an_older_entry_and_was_not_told_is_read_too(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    for turn in range(3):
        world.send(club, bob, f"{turn}")
    session = watch.come(ann, club)
    number = world.number(club)
    world.sql(
        "UPDATE conversation_heads SET change = change + 1, touched = (extract(epoch FROM clock_timestamp()) / 8)::int "
        "WHERE conversation_id = :id",
        id=number,
    )
    world.sql(
        "UPDATE entries SET content = 'edited', edited_at = now(), changed_at = now(), change = h.change "
        "FROM conversation_heads h WHERE h.conversation_id = :id AND entries.conversation_id = :id AND seq = 2",
        id=number,
    )
    watch.look()
    assert watch.wait(session, 1) == ["edited"]


@pytest.mark.parametrize("order", ["send told first", "adding told first"])
def test_a_send_told_before_the_adding_that_it_follows_reaches_who_was_added(
    world: World, watch: Watch, order: str
) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, joining="open")
    session = watch.come(bob)
    world.join(club, bob)
    number, change = world.number(club), world.send(club, ann, "hello")
    version = world.rows("SELECT members_version FROM conversation_heads WHERE conversation_id = :id", id=number)[0][0]
    adding = Event(
        "message", b'{"content": "added"}', CONVERSATION, number, change=change - 1, version=version,
        added=(bob.user_id,),
    )  # fmt: skip
    send = Event("message", b"{}", CONVERSATION, number, change=change, version=version)
    watch.hub.offer(send)
    if order == "send told first":
        watch.tail.told([send])
    watch.hub.offer(adding)
    watch.tail.told([adding])
    watch.tail.told([send])
    assert watch.wait(session, 2) == ["added", "hello"]


def test_what_is_only_under_way_is_left_to_the_bus(world: World, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "SECOND_LOOK", 0.3)
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    watch.come(ann, club)
    change = world.send(club, bob, "under way")
    looking = gevent.spawn(watch.look)
    gevent.sleep(0.1)
    watch.told(club, change)
    expected: list[Any] = []
    watch.hub.expect = lambda *given: expected.append(given)  # type: ignore[method-assign]
    looking.join(PATIENCE)
    assert [place for place in expected if place[0] == world.number(club)] == []


def test_a_private_conversation_that_began_untold_opens_for_both(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    session = watch.come(ann)
    world.send_to(ann, bob, "first")
    watch.look()
    assert watch.wait(session, 1) == ["first"]


def test_a_group_that_a_user_was_let_into_untold_opens_for_them(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(bob, history="joined", joining="open")
    world.send(club, bob, "before")
    session = watch.come(ann)
    world.join(club, ann)
    world.send(club, bob, "after")
    watch.look()
    watch.wait(session, 2)
    found = contents(session)
    assert found[-1] == "after"
    assert "before" not in found


def test_who_was_here_before_the_others_opening_made_the_room_hears_of_a_first_message_that_was_lost(
    world: World, watch: Watch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    here = watch.come(bob)
    room = world.send_to(ann, bob, "first")
    watch.come(ann, room)  # the other's device comes back, and finds the conversation in the database
    watch.look()
    assert watch.wait(here, 1) == ["resync"]  # it asks for what there is
    world.send(room, ann, "second")
    watch.look()
    assert watch.wait(here, 2) == ["resync", "second"]


def test_a_second_message_that_is_told_does_not_hide_that_nobody_told_of_the_first(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    here = watch.come(bob)
    room = world.send_to(ann, bob, "first")
    beside = watch.come(ann, room)
    change = world.send(room, ann, "second")
    low, high = sorted((ann.user_id, bob.user_id))
    told = Event(
        "message", b'{"content":"second"}', CONVERSATION, world.number(room),
        change=change, seq=2, members=(low, high), private=True,
    )  # fmt: skip
    watch.hub.offer(told)
    watch.tail.told([told])
    watch.look()
    assert watch.wait(here, 1) == ["resync"]
    world.send(room, ann, "third")
    watch.look()
    assert watch.wait(here, 2) == ["resync", "third"]
    assert watch.wait(beside, 2) == ["second", "third"]


def test_who_was_let_into_a_group_untold_that_anothers_opening_made_known_is_in_it(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(bob, history="joined", joining="open")
    here = watch.come(ann)
    world.join(club, ann)
    watch.come(bob, club)
    watch.look()
    assert watch.wait(here, 1) == ["resync"]
    world.send(club, bob, "after")
    watch.look()
    assert watch.wait(here, 2) == ["resync", "after"]


def test_who_was_found_in_a_list_that_was_read_for_another_is_told_what_they_lack_of_it(
    world: World, watch: Watch
) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    club = world.group(bob, history="all", joining="open")
    here, other = watch.come(ann), watch.come(cid)
    world.join(club, ann)
    world.join(club, cid)
    world.send(club, bob, "before")
    watch.come(bob, club)  # his opening makes the room, and the list that is read for him has all of them
    watch.tail.read_members(watch.hub.audiences[world.number(club)])
    with gevent.Timeout(PATIENCE):
        while world.number(club) not in watch.hub.users[ann.user_id].conversations:
            gevent.sleep(0.005)
    watch.look()
    assert (watch.wait(here, 1), watch.wait(other, 1)) == (["resync"], ["resync"])
    watch.look()
    world.send(club, bob, "after")
    watch.look()
    assert (watch.wait(here, 2), watch.wait(other, 2)) == (["resync", "after"], ["resync", "after"])


def test_a_later_change_of_a_user_that_was_told_does_not_hide_that_they_were_let_into_a_group(
    world: World, watch: Watch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(bob, history="joined", joining="open")
    here = watch.come(ann)
    world.join(club, ann)
    world.sql(COUNT, id=ann.user_id, change=2)  # the first of them is the joining
    watch.tail.told([Event("unread", b"{}", USER, ann.user_id, change=2)])
    watch.told(club, 2)  # by a process that may publish; the one that let her in was cut off from Redis
    watch.look()
    watch.wait(here, 1)
    world.send(club, bob, "after")
    watch.look()
    assert watch.wait(here, 2)[-1] == "after"


def test_a_user_whose_own_change_was_missed_is_told_of(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    watch.come(ann)
    for who in (ann, bob):
        world.sql(COUNT, id=who.user_id, change=5)
    watch.look()
    assert watch.behind == [(ann.user_id, 5)]
    watch.tail.told([Event("unread", b"{}", USER, ann.user_id, change=6)])
    watch.look()
    assert len(watch.behind) == 1


def test_changes_of_a_user_that_come_in_another_order_are_known_when_the_last_of_them_has_come(
    world: World, watch: Watch
) -> None:
    ann = world.person("Ann")
    watch.come(ann)
    for change in (3, 1, 2):
        watch.tail.told([Event("unread", b"{}", USER, ann.user_id, change=change)])
    world.sql(COUNT, id=ann.user_id, change=3)
    watch.look()
    assert watch.behind == []


def test_ended_logins_are_told(world: World, watch: Watch) -> None:
    ann = world.person()
    (row,) = world.rows(
        "INSERT INTO logins (user_id, kind, expires_at, ended_at) VALUES (:u, 'x', now(), now()) RETURNING id",
        u=ann.user_id,
    )
    watch.look()
    assert row.id in watch.ended


def test_a_log_that_lacks_something_gets_it(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    number = world.number(club)
    watch.press.publish(Event("message", b"{}", CONVERSATION, number, change=1, seq=1, version=1))
    world.send(club, bob, "one")
    world.send(club, bob, "two")
    (head,) = world.rows("SELECT change FROM conversation_heads WHERE conversation_id = :id", id=number)
    watch.look()
    with gevent.Timeout(PATIENCE):
        while watch.press.log.changes([number]) != {number: head.change}:
            gevent.sleep(0.005)


def test_holes_are_filled_and_logs_are_healed_at_the_same_time(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    watch.come(ann, club)
    change = world.send(club, bob, "untold")
    number = world.number(club)
    watch.tail._log.changes = lambda conversations: dict.fromkeys(conversations, 0)  # type: ignore[method-assign]
    audience = watch.hub.audiences[number]

    def fill() -> None:
        for _ in range(50):
            audience.gate.last, audience.wanted = 0, change
            watch.tail._fill_one(audience)

    both = [gevent.spawn(fill), gevent.spawn(watch.tail._heal_logs, [number] * 50)]
    gevent.joinall(both, timeout=PATIENCE, raise_error=True)
    assert all(one.successful() for one in both)


def test_a_hole_is_filled_from_the_database_after_a_moment(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    session = watch.come(ann, club)
    number = world.number(club)
    world.send(club, bob, "lost")
    change = world.send(club, bob, "heard")
    watch.hub.offer(
        Event("message", b'{"content":"heard"}', CONVERSATION, number, change=change, seq=change, version=0)
    )
    assert contents(session) == []
    assert watch.wait(session, 2) == ["lost", "heard"]


def test_a_session_hears_of_its_own_message_by_the_reply_even_if_a_hole_brings_it_first(
    world: World, watch: Watch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    session, beside = watch.come(ann, club), watch.come(ann, club)
    watch.tail.origin = lambda conversation, low, high, sender, local_id: session.id if sender == ann.public_id else ""
    world.send(club, ann, "own, not answered yet")
    change = world.send(club, bob, "heard")
    heard = Event("message", b'{"content":"heard"}', CONVERSATION, world.number(club), change=change, seq=change)
    watch.hub.offer(heard)
    assert watch.wait(beside, 2) == ["own, not answered yet", "heard"]
    assert contents(session) == ["heard"]


def test_a_hole_that_its_event_closes_in_time_costs_no_query(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    session = watch.come(ann, club)
    number = world.number(club)
    change = world.send(club, bob, "one")
    reads: list[Any] = []
    watch.tail._after.run = lambda *given: reads.append(given)  # type: ignore[method-assign]
    for late in (1, 0):
        raw = b'{"content":"%d"}' % late
        watch.hub.offer(Event("message", raw, CONVERSATION, number, change=change + late, seq=change + late, version=0))
    gevent.sleep(3 * tail_module.HOLE)
    assert contents(session) == ["0", "1"]
    assert reads == []


def test_more_than_is_read_at_a_time_comes_all_the_same(
    world: World, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "FILL", 10)
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    session = watch.come(ann, club)
    for turn in range(35):
        world.send(club, bob, f"{turn}")
    watch.look()
    assert watch.wait(session, 35) == [f"{turn}" for turn in range(35)]


def test_a_member_list_is_read_where_a_version_was_skipped(world: World, watch: Watch) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    club = world.group(bob, cid, joining="open")
    sessions = watch.come(bob, club), watch.come(cid, club), watch.come(ann)
    world.join(club, ann)
    world.leave(club, cid)
    change = world.send(club, bob, "after both")
    number = world.number(club)
    (head,) = world.rows(
        "SELECT members_version, change FROM conversation_heads WHERE conversation_id = :id", id=number
    )
    watch.hub.audiences[number].gate.last = head.change - 1
    watch.hub.offer(
        Event(
            "message",
            b'{"content":"x"}',
            CONVERSATION,
            number,
            change=head.change,
            seq=change,
            version=head.members_version,
        )
    )
    watch.wait(sessions[0], 1)
    gevent.idle()
    assert [contents(session) for session in sessions] == [["x"], [], ["x"]]


def test_a_database_that_is_away_loses_nothing(world: World, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "AGAIN", 0.05)
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    session = watch.come(ann, club)
    world.send(club, bob, "hello")
    runs = watch.tail._after.run
    fails = iter([True, True])

    def sometimes(*parameters: bytes) -> bytes | None:
        if next(fails, False):
            raise Lost("away")
        return runs(*parameters)

    watch.tail._after.run = sometimes  # type: ignore[method-assign]
    watch.look()
    assert watch.wait(session, 1) == ["hello"]


def test_it_looks_every_few_seconds_and_at_once_when_asked(watch: Watch) -> None:
    looks: list[int] = []
    watch.tail._look_once = lambda since: looks.append(since) or 1  # type: ignore[method-assign,func-returns-value]
    loop = gevent.spawn(watch.tail.loops["tail"])
    gevent.sleep(0.05)
    watch.tail.look_soon()
    gevent.sleep(0.05)
    loop.kill()
    assert looks == [0, 1]


def test_a_look_that_failed_is_made_again_soon(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "IN_DOUBT", 0.01)
    looks: list[int] = []

    def look(since: int) -> int:
        looks.append(since)
        if len(looks) == 1:
            raise Lost("away")
        return 1

    watch.tail._look_once = look  # type: ignore[method-assign]
    loop = gevent.spawn(watch.tail.loops["tail"])
    with gevent.Timeout(tail_module.EVERY / 2):
        while len(looks) < 2:
            gevent.sleep(0.005)
    loop.kill()


def test_connections_that_died_while_idle_cost_no_look(world: World, watch: Watch) -> None:
    ann, bob = world.people("Ann", "Bob")
    session = watch.come(ann)
    for turn in (1, 2):
        world.send_to(ann, world.person(), f"first {turn}")
        world.join(world.group(bob, joining="open"), ann)
        watch.look()
        assert f"first {turn}" in watch.wait(session, 2 * turn)
        with world.engine.connect() as other:
            other.execute(text(END))


def test_what_is_remembered_as_told_is_bounded(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "REMEMBERED", 10)
    for number in range(100):
        watch.tail.told([Event("message", b"{}", CONVERSATION, number, change=1)])
        assert watch.tail._told_of(CONVERSATION, number) == 1
    assert sum(map(len, watch.tail._told)) <= 22


COUNT = """
INSERT INTO user_heads (user_id, change, touched) VALUES (:id, :change, extract(epoch FROM now()) / 8)
ON CONFLICT (user_id) DO UPDATE SET change = :change, touched = excluded.touched
"""
# As a thumbnail does that comes later.
CHANGE = """
WITH head AS (
    UPDATE conversation_heads SET change = change + 1 WHERE conversation_id = :id RETURNING change)
UPDATE entries SET body = '{"media":{}}', changed_at = now(), change = head.change FROM head
WHERE conversation_id = :id AND seq = :seq
"""
