"""What a returning client missed: from the logs where they can tell, from the database for the rest, and no more."""

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from redis import Redis, RedisError

from chat import catchup as catchup_module
from chat.catchup import BUCKET_US, CatchUp, Place
from chat.cursor import Cursor
from chat.entries import CHUNK, CHUNK_BYTES, entry_event
from chat.errors import ChatError
from chat.frames import CONVERSATION, USER, Caller, Event
from chat.publishing import log_name
from tests.chat.test_log import PATIENCE, Press
from tests.chat.world import DEFAULTS, World

GENERATION = "gen"


def now_us() -> int:
    return time.time_ns() // 1_000


class Shelf:
    """A catch-up over a log and a database."""

    def __init__(self, world: World, url: str, press: Press):
        self.world, self.press = world, press
        self.catchup = CatchUp(url, press.log, DEFAULTS)

    def places(self, who: Caller) -> list[Place]:
        rows = self.world.rows(
            "SELECT m.conversation_id, h.touched, m.delivered_seq < h.last_seq, h.change, m.visible_from, 0 FROM memberships m "  # noqa: E501
            "JOIN conversation_heads h USING (conversation_id) WHERE m.user_id = :me AND m.left_seq IS NULL",
            me=who.user_id,
        )
        return [Place(*row) for row in rows]

    def cursor(self, n: int = 0, *, seconds: float = 0, **more: Any) -> Cursor:
        """Return a cursor of a client that stood at a number some seconds ago."""
        epoch = self.press.log.epoch or ""
        return Cursor(GENERATION, epoch, n, now_us() - int(seconds * 1e6))._replace(**more)

    def missed(self, who: Caller, cursor: Cursor, touched: int = 2**31 - 1) -> Any:
        return self.catchup.read(who.user_id, cursor, GENERATION, self.places(who), touched)

    def publish(self, wire_id: str) -> list[Event]:
        """Publish all entries of a conversation as the writer would have."""
        events = list(self.entries(wire_id))
        self.press.publish(*events)
        return events

    def entries(self, wire_id: str) -> list[Event]:
        number = self.world.number(wire_id)
        rows = self.world.rows(
            "SELECT e.*, c.low, c.high, u.public_id FROM entries e JOIN conversations c ON c.id = e.conversation_id "
            "LEFT JOIN users u ON u.id = e.sender_id WHERE e.conversation_id = :id ORDER BY seq",
            id=number,
        )
        return [
            entry_event(
                [
                    number,
                    row.low,
                    row.high,
                    row.seq,
                    row.change,
                    row.public_id,
                    row.local_id,
                    row.type,
                    row.content,
                    row.body,
                    0,
                    None,
                    None,
                ]
            )
            for row in rows
        ]

    def close(self) -> None:
        for statement in self.catchup._idle:
            statement.close()


@pytest.fixture
def shelf(world: World, database_url: str, redis_url: str) -> Iterator[Shelf]:
    redis = Redis.from_url(redis_url)
    press = Press(redis, f"t{world.person().public_id}:")
    press.log.connect()
    made = Shelf(world, database_url, press)
    yield made
    made.close()
    press.close()
    for key in redis.scan_iter(press.prefix + "*"):
        redis.delete(key)
    redis.close()


def contents(events: list[Event]) -> list[str]:
    found = []
    for event in events:
        listed = (
            event.data["messages"] if event.name == "offline.batch" else [event.data] if event.name == "message" else []
        )
        found += [data["content"] for data in listed if data["type"] == "text"]
    return found


def fail(*_: Any) -> Any:
    raise AssertionError("the database was asked")


# From the logs.


def test_what_came_after_the_cursor_comes_from_the_logs_without_the_database(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    for turn in range(4):
        world.send(club, bob, f"{turn}")
    events = shelf.publish(club)
    shelf.catchup._ask = fail  # type: ignore[method-assign]
    found = shelf.missed(ann, shelf.cursor(n=len(events) - 2), touched=0)
    assert contents(found.events) == ["2", "3"]
    assert (found.resync, found.upto) == (False, len(events))


def test_an_own_log_brings_what_concerns_only_the_user(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    shelf.press.publish(Event("unread", b'{"a":0}', USER, ann.user_id), Event("unread", b"{}", USER, bob.user_id))
    shelf.press.publish(Event("unread", b'{"a":1}', USER, ann.user_id))
    found = shelf.missed(ann, shelf.cursor(n=2))
    assert [event.data for event in found.events] == [{"a": 1}]


def test_a_log_that_cannot_tell_is_completed_from_the_database(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    told, untold = world.group(ann, bob), world.group(ann, bob)
    shelf.publish(told)
    world.send(told, bob, "told")
    world.send(untold, bob, "untold")
    shelf.press.publish(shelf.entries(told)[-1])
    found = shelf.missed(ann, shelf.cursor(n=0))
    assert sorted(contents(found.events)) == ["told", "untold"]


def test_of_a_group_that_let_them_in_lately_the_database_tells_though_its_log_could(
    world: World, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(ann, bob)
    world.send(group, ann, "one")
    shelf.publish(group)
    passed_by = shelf.cursor(shelf.press.log.read({}, 0, 1).n)
    (place,) = shelf.places(bob)
    monkeypatch.setattr(shelf, "places", lambda _: [place._replace(joined=now_us() // BUCKET_US)])
    assert contents(shelf.missed(bob, passed_by).events) == ["one"]
    monkeypatch.setattr(shelf, "places", lambda _: [place._replace(joined=(now_us() - 60_000_000) // BUCKET_US)])
    assert contents(shelf.missed(bob, passed_by).events) == []


def test_what_began_after_the_session_was_opened_is_left_to_come_live(world: World, shelf: Shelf) -> None:
    ann, bob, eve = world.people("Ann", "Bob", "Eve")
    world.send_to(bob, ann, "known")
    places = shelf.places(ann)
    world.send_to(eve, ann, "begun meanwhile")
    found = shelf.catchup.read(ann.user_id, shelf.cursor(epoch="other"), GENERATION, places, 2**31 - 1)
    assert contents(found.events) == ["known"]


def test_what_the_cursor_says_was_seen_is_not_told_again(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    for turn in range(4):
        world.send(club, bob, f"{turn}")
    events = shelf.publish(club)
    seen = {world.number(club): (events[-2].change, events[-2].seq)}
    for cursor in (shelf.cursor(n=0, seen=seen), shelf.cursor(epoch="other", seen=seen)):
        assert contents(shelf.missed(ann, cursor).events) == ["3"]


def test_nothing_of_the_time_before_joining_or_after_leaving_is_read_in_a_log(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(bob, history="joined", joining="open")
    world.send(club, bob, "before")
    world.join(club, ann)
    world.send(club, bob, "after")
    shelf.publish(club)
    assert contents(shelf.missed(ann, shelf.cursor(n=0)).events) == ["after"]
    world.leave(club, ann)
    assert contents(shelf.missed(ann, shelf.cursor(n=0)).events) == []


# Doubt.


@pytest.mark.parametrize(
    "doubt",
    [{"epoch": "other"}, {"generation": "other"}, {"n": 10**9}, {"seconds": 1_000}],
    ids=["epoch", "generation", "n", "age"],
)
def test_a_doubtful_cursor_is_answered_from_the_database(world: World, shelf: Shelf, doubt: dict[str, Any]) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    world.send(club, bob, "hello")
    shelf.publish(club)
    assert contents(shelf.missed(ann, shelf.cursor(**{"n": 1} | doubt)).events) == ["hello"]


def test_a_redis_that_fails_while_it_is_read_is_doubted_and_the_database_asked(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.send_to(ann, bob, "hello")
    cursor = shelf.cursor()

    def away(**_: Any) -> Any:
        raise RedisError("away")

    shelf.press.log._read = away
    assert contents(shelf.missed(ann, cursor).events) == ["hello"]
    assert shelf.press.log.epoch is None


def test_a_database_that_is_away_is_told_as_overloaded(world: World, shelf: Shelf) -> None:
    shelf.press.log.doubt()
    shelf.catchup = CatchUp("postgresql+psycopg://nobody@127.0.0.1:1/none", shelf.press.log, DEFAULTS)
    with pytest.raises(ChatError, match="overloaded"):
        shelf.missed(world.person(), shelf.cursor())
    assert len(shelf.catchup._idle) == catchup_module.READERS


# From the database.


def test_without_a_time_it_is_what_no_device_has(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    place = world.send_to(ann, bob, "had")
    world.move(place, ann, 1)
    world.send(place, bob, "new")
    assert contents(shelf.missed(ann, Cursor(GENERATION, "", 0, 0)).events) == ["new"]


def test_with_a_time_it_is_what_was_committed_since_with_a_margin(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    place = world.send_to(ann, bob, "long ago")
    world.send(place, bob, "just now")
    world.sql(
        "UPDATE entries SET created_at = now() - interval '1 hour' WHERE conversation_id = :id AND seq = 1",
        id=world.number(place),
    )
    assert contents(shelf.missed(ann, shelf.cursor(epoch="other")).events) == ["just now"]


def test_messages_come_oldest_first_over_all_conversations_in_bounded_batches(world: World, shelf: Shelf) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    for turn in range(2 * CHUNK + 10):
        world.send_to(ann, (bob, cid)[turn % 2], f"{turn}")
    first, *later = shelf.missed(ann, Cursor(GENERATION, "", 0, 0)).events
    assert [(len(parcel.keys), parcel.remaining) for parcel in later] == [(CHUNK, 10), (10, 0)]
    batches = [first, *(shelf.catchup.build(ann.user_id, parcel) for parcel in later)]
    assert [len(batch.data["messages"]) for batch in batches] == [CHUNK, CHUNK, 10]
    assert [batch.data["remaining"] for batch in batches] == [CHUNK + 10, 10, 0]
    assert contents(batches) == [f"{turn}" for turn in range(2 * CHUNK + 10)]
    assert [len(batch.told) for batch in batches] == [CHUNK, CHUNK, 10]


def test_long_messages_make_small_batches(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    for _ in range(30):
        world.send_to(ann, bob, "x" * 5_000)
    batches = shelf.missed(ann, Cursor(GENERATION, "", 0, 0)).events
    assert all(len(batch.raw) < CHUNK_BYTES + 6_000 for batch in batches)
    assert sum(len(batch.told) for batch in batches) == 30


def test_a_parcel_holds_what_may_be_seen_when_it_is_built(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    group = world.group(bob, ann)
    for turn in range(CHUNK + 10):
        world.send(group, bob, f"{turn}")
    *_, parcel = shelf.missed(ann, Cursor(GENERATION, "", 0, 0)).events
    world.recall(group, parcel.keys[3][1])
    batch = shelf.catchup.build(ann.user_id, parcel)
    assert [change for _, change, _ in batch.told] != [change for _, _, change in parcel.keys]
    assert batch.data["messages"][3]["recalledAt"]
    world.leave(group, ann)
    assert shelf.catchup.build(ann.user_id, parcel).data == {"messages": [], "remaining": 0}


@pytest.mark.parametrize(("bound", "value"), [("MOST_ENTRIES", 5), ("MOST_BYTES", 1_000)])
def test_too_much_is_told_as_such(
    world: World, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(catchup_module, bound, value)
    ann, bob = world.people("Ann", "Bob")
    for turn in range(8):
        world.send_to(ann, bob, f"{turn}")
    assert shelf.missed(ann, Cursor(GENERATION, "", 0, 0)).resync


def test_positions_that_moved_meanwhile_come_too(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    place = world.send_to(ann, bob, "hello")
    world.send(place, ann, "hi")
    world.move(place, bob, 2)
    events = shelf.missed(ann, shelf.cursor(epoch="other")).events
    (receipt,) = [event.data for event in events if event.name == "receipt"]
    assert (receipt["userId"], receipt["readSeq"]) == (bob.public_id, 2)
    (unread,) = [event.data for event in events if event.name == "unread"]
    assert unread == {"conversationId": place, "readSeq": 2, "unread": 0, "lastSeq": 2}
    assert [event.name for event in shelf.catchup.positions(ann.user_id, shelf.cursor())] == ["unread", "receipt"]


def test_a_conversation_whose_last_change_is_no_entry_is_named(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    world.sql("UPDATE conversation_heads SET change = change + 1 WHERE conversation_id = :id", id=world.number(club))
    events = shelf.missed(ann, shelf.cursor(epoch="other")).events
    changed = [event.data for event in events if event.name == "conversation"]
    assert [data["conversationId"] for data in changed] == [club]


def test_only_the_users_own_conversations_are_read(world: World, shelf: Shelf) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    world.send_to(ann, bob, "private")
    world.send(world.group(ann, bob), bob, "group")
    assert contents(shelf.missed(cid, shelf.cursor(epoch="other")).events) == []
    assert log_name(CONVERSATION, 7) == "log:c2:7"


def test_several_are_read_at_a_time(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    world.send_to(ann, bob, "hello")
    readers = [gevent.spawn(shelf.missed, ann, Cursor(GENERATION, "", 0, 0)) for _ in range(10)]
    gevent.joinall(readers, timeout=PATIENCE)
    assert [contents(reader.value.events) for reader in readers] == [["hello"]] * 10


def test_where_only_positions_are_missing_no_message_comes_again(world: World, shelf: Shelf) -> None:
    ann, bob = world.people("Ann", "Bob")
    club, place = world.group(ann, bob), world.send_to(ann, bob, "had")
    world.send(club, bob, "had too")
    told = [*shelf.publish(club), *shelf.publish(place)]
    world.move(place, ann, 1)
    found = shelf.missed(ann, shelf.cursor(n=len(told)))  # the own log is not there: it cannot tell
    assert contents(found.events) == []
    assert "unread" in [event.name for event in found.events]


def test_positions_come_from_all_conversations_even_if_the_messages_of_one_alone_are_missing(
    world: World, shelf: Shelf
) -> None:
    ann, bob = world.people("Ann", "Bob")
    untold, place = world.group(ann, bob), world.send_to(ann, bob, "had")
    world.send(untold, bob, "new")
    shelf.publish(place)
    world.move(place, ann, 1)
    found = shelf.missed(ann, shelf.cursor(n=1))
    assert contents(found.events) == ["new"]
    assert place in [event.data["conversationId"] for event in found.events if event.name == "unread"]
