"""Positions against a real PostgreSQL: what is read and delivered, what it counts, who is told, and what goes wrong."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import gevent
import orjson
import pytest
from sqlalchemy import create_engine, text

import chat.positions
from chat.errors import ChatError
from chat.launcher.embedded_postgres import Postgres
from chat.models import Base
from chat.positions import Positions

FUNCTION = Path(chat.positions.__file__).with_suffix(".sql").read_text()

ENTRY = """
WITH h AS (
    UPDATE conversation_heads SET last_seq = last_seq + 1, last_count = last_count + :n, change = change + 1
    WHERE conversation_id = :c RETURNING *)
INSERT INTO entries (conversation_id, seq, count, change, sender_id, local_id, digest, type, content, created_at)
SELECT :c, last_seq, last_count, change, :s, 'l' || last_seq, 0, :k, 'x', now() FROM h
"""
OWN = "UPDATE memberships SET own_count = own_count + :n WHERE conversation_id = :c AND user_id = :s"
UNREAD = """
SELECT count(*) FROM entries e JOIN memberships m ON m.conversation_id = e.conversation_id AND m.user_id = :u
WHERE e.conversation_id = :c AND e.seq > m.read_seq AND e.type <> 'system' AND e.sender_id <> :u
  AND e.recalled_at IS NULL
"""
SUBTRACTED = """
SELECT h.last_count - m.read_count - m.own_count
FROM memberships m JOIN conversation_heads h USING (conversation_id) WHERE conversation_id = :c AND user_id = :u
"""
SLOW = """
CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END';
CREATE TRIGGER slow BEFORE UPDATE ON memberships FOR EACH ROW WHEN (NEW.user_id = {user}) EXECUTE FUNCTION slow()
"""


class Scene:
    """A database with people who talk, and the positions of one or more processes."""

    def __init__(self, url):
        self.url = url
        self.engine = create_engine(url)
        self.told = []
        self.running = []
        Base.metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            connection.exec_driver_sql(FUNCTION)

    def ask(self, sql, **values):
        with self.engine.begin() as connection:
            result = connection.execute(text(sql), values)
            return result.first() if result.returns_rows else None

    def people(self, count):
        insert = "INSERT INTO users (public_id, name) VALUES (gen_random_uuid(), 'x') RETURNING id"
        return [self.ask(insert)[0] for _ in range(count)]

    def name(self, user):
        return self.ask("SELECT public_id FROM users WHERE id = :u", u=user)[0]

    def conversation(self, *members, private=False, count=None):
        low, high = (min(members), max(members)) if private else (None, None)
        kind = "private" if private else "group"
        insert = "INSERT INTO conversations (kind, low, high) VALUES (:k, :l, :h) RETURNING id"
        number = self.ask(insert, k=kind, l=low, h=high)[0]
        insert = "INSERT INTO conversation_heads (conversation_id, member_count) VALUES (:c, :n)"
        self.ask(insert, c=number, n=count or len(members))
        for member in members:
            self.ask("INSERT INTO memberships (conversation_id, user_id) VALUES (:c, :u)", c=number, u=member)
        return number

    def say(self, conversation, sender, entries=1, kind="text"):
        """Write entries as the writer does, but without moving the sender's position."""
        counts = int(kind != "system")
        for _ in range(entries):
            self.ask(ENTRY, c=conversation, s=None if kind == "system" else sender, k=kind, n=counts)
            self.ask(OWN, c=conversation, s=sender, n=counts)

    def recall(self, conversation, seq):
        mark = "UPDATE entries SET recalled_at = now() WHERE conversation_id = :c AND seq = :q"
        self.ask(mark, c=conversation, q=seq)
        move = "UPDATE conversation_heads SET last_recalled_seq = greatest(last_recalled_seq, :q)"
        self.ask(f"{move} WHERE conversation_id = :c", c=conversation, q=seq)

    def see_from(self, conversation, user, seq):
        move = "UPDATE memberships SET visible_from = :q WHERE conversation_id = :c AND user_id = :u"
        self.ask(move, c=conversation, u=user, q=seq)

    def member(self, conversation, user):
        return self.ask("SELECT * FROM memberships WHERE conversation_id = :c AND user_id = :u", c=conversation, u=user)

    def change(self, user):
        row = self.ask("SELECT change FROM user_heads WHERE user_id = :u", u=user)
        return row[0] if row else 0

    def counted_unread(self, conversation, user):
        return self.ask(UNREAD, c=conversation, u=user)[0]

    def subtracted_unread(self, conversation, user):
        return self.ask(SUBTRACTED, c=conversation, u=user)[0]

    def positions(self, running=True):
        made = Positions(self.url, self.told.extend)
        if running:
            self.running.append((made, gevent.spawn(made.loops["positions"])))
            gevent.sleep(0)  # so that it runs: what was never started is not waited for by stop()
        return made

    def events(self, name, user=None):
        return [orjson.loads(event.raw) for event in self.told if event.name == name and user in (None, event.target)]

    @contextmanager
    def locked(self, sql, **values):
        with self.engine.connect() as connection, connection.begin():
            connection.execute(text(sql), values)
            yield

    def close(self):
        for positions, greenlet in self.running:
            positions.stop()
            greenlet.get(timeout=5)
        self.engine.dispose()


@pytest.fixture
def scene(database_url):
    made = Scene(database_url)
    yield made
    made.close()


@pytest.fixture
def pair(scene):
    """Two people with a private conversation of ten messages by the first."""
    ann, bob = scene.people(2)
    conversation = scene.conversation(ann, bob, private=True)
    scene.say(conversation, ann, 10)
    return ann, bob, conversation


def wait_until(holds, seconds=5.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        gevent.sleep(0.005)


def test_reading_moves_the_position_and_answers_what_is_left(scene, pair):
    ann, bob, conversation = pair
    answer = scene.positions().read(bob, conversation, 4)
    assert answer == {"conversationId": f"p{ann}-{bob}", "readSeq": 4, "unread": 6, "lastSeq": 10, "userChange": 1}
    row = scene.member(conversation, bob)
    assert (row.read_seq, row.read_count, row.delivered_seq) == (4, 4, 4)
    assert row.moved_at is not None


def test_reading_without_a_seq_reads_to_the_end(scene, pair):
    _, bob, conversation = pair
    assert scene.positions().read(bob, conversation)["unread"] == 0
    assert scene.member(conversation, bob).read_seq == 10


def test_a_seq_beyond_the_end_is_the_end_and_one_behind_changes_nothing(scene, pair):
    _, bob, conversation = pair
    positions = scene.positions()
    assert positions.read(bob, conversation, 2**62)["readSeq"] == 10
    answer = positions.read(bob, conversation, 3)
    assert (answer["readSeq"], answer["unread"], "userChange" in answer) == (10, 0, False)
    assert scene.change(bob) == 1, "what moves nothing is no change"


def test_the_users_other_sessions_are_told_and_the_asking_one_is_not(scene, pair):
    _, bob, conversation = pair
    answer = scene.positions().read(bob, conversation, 4, origin="s1")
    (event,) = [event for event in scene.told if event.name == "unread"]
    assert (event.scope, event.target, event.change, event.origin, event.logged) == ("u", bob, 1, "s1", True)
    assert event.data == answer


def test_every_change_of_a_user_has_a_number_of_its_own_also_in_one_flush(scene):
    ann, bob = scene.people(2)
    places = [scene.conversation(ann, bob) for _ in range(3)]
    for place in places:
        scene.say(place, ann, 2)
    answers = scene.positions().read_many(bob, [(place, None) for place in places])
    assert sorted(answer["userChange"] for answer in answers) == [1, 2, 3]
    assert sorted(event.change for event in scene.told if event.name == "unread") == [1, 2, 3]
    assert scene.change(bob) == 3


def test_reading_many_answers_each_in_order_and_refuses_only_what_is_foreign(scene, pair):
    _, bob, conversation = pair
    (eve,) = scene.people(1)
    foreign = scene.conversation(eve)
    mine, refused, again = scene.positions().read_many(bob, [(conversation, 2), (foreign, None), (conversation, 5)])
    assert mine["readSeq"] == again["readSeq"] == 5
    assert isinstance(refused, ChatError)
    assert refused.code.name == "not_a_member"


def test_who_left_reads_nothing(scene, pair):
    _, bob, conversation = pair
    scene.ask("UPDATE memberships SET left_seq = 10 WHERE conversation_id = :c AND user_id = :u", c=conversation, u=bob)
    with pytest.raises(ChatError, match="not_a_member"):
        scene.positions().read(bob, conversation, 5)
    assert scene.member(conversation, bob).read_seq == 0


def test_own_messages_and_notices_are_never_unread(scene):
    ann, bob = scene.people(2)
    conversation = scene.conversation(ann, bob)
    for sender, kind in ((ann, "text"), (bob, "text"), (ann, "system"), (bob, "image"), (ann, "text"), (bob, "text")):
        scene.say(conversation, sender, kind=kind)
    positions = scene.positions()
    for seq in range(1, 7):
        unread = positions.read(bob, conversation, seq)["unread"]
        assert unread == scene.counted_unread(conversation, bob), f"after reading {seq}"
    assert scene.member(conversation, bob).own_count == 0


def test_recalled_messages_are_not_unread_and_own_recalled_ones_are_not_taken_off_twice(scene):
    ann, bob = scene.people(2)
    conversation = scene.conversation(ann, bob)
    for sender in (ann, bob, ann, ann, bob):
        scene.say(conversation, sender)
    scene.recall(conversation, 3)
    scene.recall(conversation, 5)
    assert scene.positions().read(bob, conversation, 1)["unread"] == 1


def test_what_retention_took_away_counts_neither_as_read_nor_as_unread(scene, pair):
    _, bob, conversation = pair
    scene.ask("DELETE FROM entries WHERE conversation_id = :c AND seq <= 6", c=conversation)
    scene.ask("UPDATE conversation_heads SET first_seq = 7, first_count = 6 WHERE conversation_id = :c", c=conversation)
    positions = scene.positions()
    assert positions.read(bob, conversation, 3)["unread"] == 4
    assert positions.read(bob, conversation, 8)["unread"] == 2


def test_what_a_member_may_not_see_cannot_be_read_or_delivered(scene, pair):
    _, bob, conversation = pair
    scene.see_from(conversation, bob, 8)
    positions = scene.positions()
    positions.delivered(bob, conversation, 8)
    assert positions.read(bob, conversation, 8)["readSeq"] == 0
    assert scene.member(conversation, bob).delivered_seq == 0
    assert positions.read(bob, conversation, 9)["readSeq"] == 9


def test_delivered_positions_are_written_within_two_seconds_as_the_furthest_and_never_beyond_the_end(scene, pair):
    _, bob, conversation = pair
    positions = scene.positions()
    start = time.monotonic()
    for seq in (3, 7, 5):
        positions.delivered(bob, conversation, seq)
    wait_until(lambda: scene.member(conversation, bob).delivered_seq == 7)
    assert time.monotonic() - start < 2.0
    assert len(positions) == 0
    positions.delivered(bob, conversation, 2**62)
    wait_until(lambda: scene.member(conversation, bob).delivered_seq == 10)
    assert scene.member(conversation, bob).read_seq == 0
    assert scene.change(bob) == 0, "having got something is no news to oneself"


def test_delivered_for_a_stranger_is_passed_over_in_silence(scene, pair, monkeypatch):
    monkeypatch.setattr(chat.positions, "DELIVERED_SECONDS", 0.0)
    _, bob, conversation = pair
    (eve,) = scene.people(1)
    positions = scene.positions()
    positions.delivered(eve, conversation, 5)
    positions.delivered(bob, conversation, 5)
    wait_until(lambda: scene.member(conversation, bob).delivered_seq == 5)
    assert len(positions) == 0


def test_receipts_go_to_the_authors_of_what_was_passed_over_and_to_nobody_else(scene):
    ann, bob, eve, gone = scene.people(4)
    conversation = scene.conversation(ann, bob, eve, gone)
    for sender in (ann, gone, bob, eve):
        scene.say(conversation, sender)
    scene.ask("UPDATE memberships SET left_seq = 9 WHERE user_id = :u", u=gone)
    positions = scene.positions()
    positions.read(bob, conversation, 3)
    data = {"conversationId": f"g{conversation}", "userId": scene.name(bob), "deliveredSeq": 3, "readSeq": 3}
    assert [(event.target, event.data) for event in scene.told if event.name == "receipt"] == [(ann, data)]
    positions.read(bob, conversation, 4)
    wait_until(lambda: scene.events("receipt", eve))
    assert len(scene.events("receipt")) == 2, "Ann was told about hers already"


def test_who_sends_has_read_what_was_there_and_its_authors_hear_of_it(scene, monkeypatch):
    monkeypatch.setattr(chat.positions, "DELIVERED_SECONDS", 0.05)
    ann, bob, eve = scene.people(3)
    group = scene.conversation(ann, bob, eve)
    scene.say(group, eve)
    scene.say(group, ann, entries=2)
    scene.say(group, bob)
    scene.ask(
        "UPDATE memberships SET read_seq = 4, delivered_seq = 4 WHERE user_id = :u", u=bob
    )  # as the writer does with bob's message
    scene.positions().passed(bob, group, 1)
    wait_until(lambda: scene.events("receipt", ann))
    data = {"conversationId": f"g{group}", "userId": scene.name(bob), "readSeq": 4}
    assert scene.events("receipt") == [data], "Eve was told about hers before"


def test_delivered_alone_is_told_without_a_read_position(scene, pair, monkeypatch):
    monkeypatch.setattr(chat.positions, "DELIVERED_SECONDS", 0.0)
    ann, bob, conversation = pair
    scene.positions().delivered(bob, conversation, 4)
    wait_until(lambda: scene.events("receipt", ann))
    place = f"p{ann}-{bob}"
    assert scene.events("receipt") == [{"conversationId": place, "userId": scene.name(bob), "deliveredSeq": 4}]


def test_receipts_of_one_second_are_merged(scene, pair):
    ann, bob, conversation = pair
    positions = scene.positions()
    for seq in range(1, 11):
        positions.read(bob, conversation, seq)
    wait_until(lambda: len(scene.events("receipt", ann)) > 1)
    assert [event["readSeq"] for event in scene.events("receipt")] == [1, 10]


def test_who_sends_no_receipts_moves_unseen(scene, pair):
    _, bob, conversation = pair
    scene.ask("UPDATE users SET sends_receipts = false WHERE id = :u", u=bob)
    assert scene.positions().read(bob, conversation)["readSeq"] == 10
    assert scene.events("receipt") == []
    assert len(scene.events("unread")) == 1


@pytest.mark.parametrize(("members", "told"), [(50, {"deliveredSeq", "readSeq"}), (200, {"readSeq"}), (201, set())])
def test_large_groups_get_fewer_receipts(scene, members, told):
    ann, bob = scene.people(2)
    conversation = scene.conversation(ann, bob, count=members)
    scene.say(conversation, ann, 2)
    scene.positions().read(bob, conversation)
    assert {field for event in scene.events("receipt") for field in event} & {"deliveredSeq", "readSeq"} == told


def test_notes_to_oneself_make_no_receipts(scene):
    (ann,) = scene.people(1)
    notes = scene.conversation(ann, private=True)
    scene.say(notes, ann, 3)
    assert scene.positions().read(ann, notes)["unread"] == 0
    assert scene.events("receipt") == []


def test_two_sessions_reading_at_once_both_get_an_answer_and_both_are_told(scene, pair):
    _, bob, conversation = pair
    positions = scene.positions()
    asked = [gevent.spawn(positions.read, bob, conversation, seq, f"s{seq}") for seq in (3, 8)]
    assert {greenlet.get(timeout=5)["readSeq"] for greenlet in asked} == {8}
    (event,) = [event for event in scene.told if event.name == "unread"]
    assert event.origin == ""


@pytest.mark.parametrize("table", ["memberships", "user_heads"])
def test_a_locked_row_holds_up_nobody_else(scene, pair, table):
    ann, bob, conversation = pair
    positions = scene.positions()
    positions.read(bob, conversation, 1)
    with scene.locked(f"SELECT FROM {table} WHERE user_id = :u FOR UPDATE", u=bob):
        stuck = gevent.spawn(positions.read, bob, conversation, 5)
        positions.delivered(bob, conversation, 6)
        for seq in (2, 3):
            assert positions.read(ann, conversation, seq)["readSeq"] == seq
        assert not stuck.ready()
    assert stuck.get(timeout=5)["readSeq"] == 5
    wait_until(lambda: scene.member(conversation, bob).delivered_seq == 6)


def test_a_position_that_the_database_refuses_fails_alone(scene, pair):
    ann, bob, conversation = pair
    others = scene.people(6)
    for user in others:
        scene.ask("INSERT INTO memberships (conversation_id, user_id) VALUES (:c, :u)", c=conversation, u=user)
    scene.ask(f"ALTER TABLE memberships ADD CONSTRAINT poison CHECK (user_id <> {others[3]} OR read_seq = 0) NOT VALID")
    try:
        positions = scene.positions()
        asked = [gevent.spawn(positions.read_many, user, [(conversation, 4)]) for user in (ann, bob, *others)]
        answers = [greenlet.get(timeout=5)[0] for greenlet in asked]
    finally:
        scene.ask("ALTER TABLE memberships DROP CONSTRAINT poison")
    refused = answers.pop(5)
    assert isinstance(refused, ChatError)
    assert refused.code.name == "internal"
    assert [answer["readSeq"] for answer in answers] == [4] * 7


def test_everybody_else_goes_on_while_the_database_works(scene, pair):
    _, bob, conversation = pair
    scene.ask(SLOW.format(user=bob))
    reading = gevent.spawn(scene.positions().read, bob, conversation, 4)
    ticks = 0
    while not reading.ready():
        gevent.sleep(0.005)
        ticks += 1
    scene.ask("DROP TRIGGER slow ON memberships")
    assert reading.get()["readSeq"] == 4
    assert ticks > 20


def test_reads_beyond_the_queue_are_refused_at_once_and_nothing_is_done(scene, pair, monkeypatch):
    monkeypatch.setattr(chat.positions, "QUEUE", 1)
    _, bob, conversation = pair
    positions = scene.positions(running=False)
    with pytest.raises(ChatError, match="overloaded"):
        positions.read_many(bob, [(conversation, 1), (conversation + 1, 1)])
    assert len(positions) == 0


def test_delivered_beyond_the_queue_pushes_out_the_oldest(scene, monkeypatch):
    monkeypatch.setattr(chat.positions, "QUEUE", 2)
    ann, bob = scene.people(2)
    places = [scene.conversation(ann, bob) for _ in range(3)]
    for place in places:
        scene.say(place, ann, 2)
    positions = scene.positions()
    for place in places:
        positions.delivered(bob, place, 2)
    assert len(positions) == 2
    positions.stop()
    assert [scene.member(place, bob).delivered_seq for place in places] == [0, 2, 2]


def test_stopping_writes_what_waits(scene, pair):
    _, bob, conversation = pair
    positions = scene.positions()
    positions.delivered(bob, conversation, 4)
    positions.stop()
    assert scene.member(conversation, bob).delivered_seq == 4


def test_more_than_one_batch_is_written_as_several(scene, monkeypatch):
    monkeypatch.setattr(chat.positions, "BATCH", 2)
    monkeypatch.setattr(chat.positions, "DELIVERED_SECONDS", 0.0)
    people = scene.people(7)
    conversation = scene.conversation(*people)
    scene.say(conversation, people[0], 3)
    positions = scene.positions()
    for user in people:
        positions.delivered(user, conversation, 3)
    wait_until(lambda: all(scene.member(conversation, user).delivered_seq == 3 for user in people))
    assert len(positions) == 0


def test_two_processes_leave_what_the_database_says_after_any_order_of_positions(scene):
    people = scene.people(4)
    places = [scene.conversation(*people) for _ in range(3)]
    dice = random.Random(5)
    for place in places:
        for _ in range(12):
            scene.say(place, dice.choice(people), kind=dice.choice(["text", "text", "system"]))
    processes = [scene.positions(), scene.positions()]
    asked = []
    for _ in range(300):
        process, user, place = dice.choice(processes), dice.choice(people), dice.choice(places)
        seq = dice.randint(1, 14)
        if dice.random() < 0.5:
            process.delivered(user, place, seq)
        else:
            asked.append((user, place, min(seq, 12), gevent.spawn(process.read, user, place, seq)))
        if dice.random() < 0.2:
            gevent.sleep(0.002)
    for process in processes:
        process.stop()
    for user, place, seq, greenlet in asked:
        assert greenlet.get(timeout=5)["readSeq"] >= seq
        row = scene.member(place, user)
        assert row.read_seq <= row.delivered_seq <= 12
        assert scene.subtracted_unread(place, user) == scene.counted_unread(place, user)
    for user in people:
        numbers = sorted(event.change for event in scene.told if event.name == "unread" and event.target == user)
        assert numbers == list(range(1, scene.change(user) + 1)), "no change without its event, none twice"


def test_a_message_that_says_less_is_read_than_was_read_meanwhile_takes_nothing_back(world):
    ann, bob = world.person(), world.person()
    for _ in range(10):
        place = world.send_to(bob, ann)
    with ThreadPoolExecutor(1) as thread:
        with world.engine.begin() as connection:
            items = [{"c": world.number(place), "u": bob.user_id, "d": None, "r": 8}]
            connection.execute(text("SELECT chat_positions_2(:items)"), {"items": orjson.dumps(items).decode()})
            sending = thread.submit(world.send, place, bob, read_seq=3)
            waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%chat_write_3%'"
            wait_until(lambda: world.rows(waiting))
        sending.result()
    values = {"c": world.number(place), "u": bob.user_id}
    (row,) = world.rows("SELECT * FROM memberships WHERE conversation_id = :c AND user_id = :u", **values)
    assert (row.read_seq, row.read_count, row.own_count) == (8, 8, 1)
    assert world.rows(SUBTRACTED, **values) == world.rows(UNREAD, **values) == [(2,)]


@pytest.fixture
def own_server(tmp_path):
    with Postgres(tmp_path / "postgresql", keep=False) as server:
        made = Scene(server.url)
        yield server, made
        made.close()


def test_a_killed_database_costs_a_reader_time_and_nothing_else(own_server):
    server, scene = own_server
    ann, bob = scene.people(2)
    conversation = scene.conversation(ann, bob, private=True)
    scene.say(conversation, ann, 10)
    positions = scene.positions()
    positions.read(bob, conversation, 1)
    server.kill()
    positions.delivered(bob, conversation, 7)
    asked = gevent.spawn(positions.read, bob, conversation, 4)
    gevent.sleep(0)
    server.start()
    scene.engine.dispose()
    assert asked.get(timeout=9)["readSeq"] == 4
    wait_until(lambda: scene.member(conversation, bob).delivered_seq == 7)
    assert scene.change(bob) == 2


def test_a_reader_is_told_when_the_database_stays_away_and_is_heard_all_the_same(own_server, monkeypatch):
    monkeypatch.setattr(chat.positions, "GIVE_UP", 0.3)
    server, scene = own_server
    ann, bob = scene.people(2)
    conversation = scene.conversation(ann, bob, private=True)
    scene.say(conversation, ann, 10)
    positions = scene.positions()
    server.stop()
    with pytest.raises(ChatError, match="unavailable"):
        positions.read(bob, conversation, 4, origin="s1")
    server.start()
    scene.engine.dispose()
    wait_until(lambda: scene.member(conversation, bob).read_seq == 4)
    wait_until(lambda: scene.events("unread"))
    (event,) = [event for event in scene.told if event.name == "unread"]
    assert event.origin == "", "the session that got no answer is told like the others"
