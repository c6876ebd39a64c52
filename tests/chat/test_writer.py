"""The writer over a real database: one call a batch, in order, each message once, an answer to each of them."""

import itertools
from collections.abc import Iterator
from typing import Any

import gevent
import orjson
import pytest
from gevent.event import Event as Signal
from sqlalchemy import Engine, text

from chat import media
from chat import writer as writer_module
from chat.errors import ChatError
from chat.frames import Caller, Event
from chat.media_address import sign_with
from chat.messages import Sent
from chat.outgoing import Outgoing
from chat.postgres import Lost
from chat.writer import Writer
from tests.chat.test_media import kept
from tests.chat.world import DEFAULTS, World

PATIENCE = 10.0  # seconds
names = itertools.count(1)
Place = tuple[int, int, int]


class Desk:
    """A writer with its lanes; what it answered in which order, what it told, and how often it called the database."""

    def __init__(self, url: str, **config: Any):
        self.told: list[Event] = []
        self.answers: list[tuple[str, Sent | ChatError]] = []
        self.calls = 0
        self.writer = Writer(url, DEFAULTS | config, self.told.extend)
        for statement in self.writer._statements:
            statement.run = self._counted(statement.run)  # type: ignore[method-assign]
        self._greenlets = [gevent.spawn(loop) for loop in self.writer.loops.values()]

    def _counted(self, run: Any) -> Any:
        def counted(*parameters: bytes) -> bytes | None:
            self.calls += 1
            answer: bytes | None = run(*parameters)
            return answer

        return counted

    def message(self, sender: Caller, place: Place, content: str = "hi", local_id: str = "", **more: Any) -> Outgoing:
        local_id = local_id or f"local-{next(names)}"
        digest = more.pop("digest", hash(content))
        made = Outgoing(
            sender.user_id, sender.public_id, place, local_id, digest, "text", content, None, None, "",
            lambda answer: self.answers.append((local_id, answer)),
        )  # fmt: skip
        for name, value in more.items():
            setattr(made, name, value)
        return made

    def submit(self, *messages: Outgoing) -> None:
        for message in messages:
            self.writer.submit(message)

    def send(self, *messages: Outgoing) -> list[Any]:
        """Submit, wait for the answers, and return them in the order in which they came: a message's data or a code."""
        before = len(self.answers)
        self.submit(*messages)
        self.await_answers(before + len(messages))
        return [outcome(answer) for _, answer in self.answers[before:]]

    def await_answers(self, count: int) -> None:
        with gevent.Timeout(PATIENCE):
            while len(self.answers) < count:
                gevent.sleep(0.002)

    def close(self) -> None:
        gevent.killall(self._greenlets)
        for statement in self.writer._statements:
            statement.close()


def outcome(answer: Sent | ChatError) -> Any:
    return answer.code.name if isinstance(answer, ChatError) else orjson.loads(answer.data)


def private(one: Caller, other: Caller) -> Place:
    return (0, *sorted((one.user_id, other.user_id)))  # type: ignore[return-value]


def group(wire_id: str) -> Place:
    return (int(wire_id[1:]), 0, 0)


@pytest.fixture
def desks(engine: Engine, database_url: str) -> Iterator[Any]:
    made: list[Desk] = []

    def make(**config: Any) -> Desk:
        made.append(Desk(database_url, **config))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(desks: Any) -> Desk:
    found: Desk = desks()
    return found


def entries(world: World, wire_id: str) -> list[Any]:
    rows = "SELECT seq, content, local_id, created_at FROM entries WHERE conversation_id = :id AND type = 'text' ORDER BY seq"  # noqa: E501
    return world.rows(rows, id=world.number(wire_id))


# What is stored, and in which order.


def test_a_lone_message_is_stored_answered_and_told(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    message = desk.message(ann, private(ann, bob), "hello", origin="s1")
    (data,) = desk.send(message)
    assert (data["seq"], data["content"], data["senderId"]) == (1, "hello", ann.public_id)
    assert [row.content for row in entries(world, data["conversationId"])] == ["hello"]
    (event,) = desk.told
    assert event.data == data
    assert (event.change, event.seq, event.origin, set(event.members)) == (1, 1, "s1", {ann.user_id, bob.user_id})
    assert desk.calls == 1


def test_many_messages_are_one_call_a_batch_with_no_other_statement(world: World, desk: Desk) -> None:
    people = world.people(*["Ann"] * 20)
    pairs = [(one, people[place - 1]) for place, one in enumerate(people)]
    messages = [desk.message(one, private(one, other)) for one, other in pairs * 30]
    assert len(messages) == 600
    desk.send(*messages)
    assert desk.calls == 2
    assert len(desk.told) == 600


def test_a_batch_is_bounded_in_messages_and_in_bytes(world: World, desks: Any) -> None:
    ann, bob = world.people("Ann", "Bob")
    few, short = desks(WRITER_BATCH=10), desks(WRITER_BATCH_BYTES=10_000)
    few.send(*(few.message(ann, private(ann, bob)) for _ in range(100)))
    assert few.calls == 10
    short.send(*(short.message(ann, private(ann, bob), "x" * 1_000) for _ in range(45)))
    assert short.calls == 5


def test_messages_of_a_conversation_are_numbered_in_the_order_in_which_they_came(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    messages = [desk.message((ann, bob)[turn % 2], private(ann, bob), f"{turn}") for turn in range(700)]
    answers = desk.send(*messages)
    assert [answer["seq"] for answer in answers] == list(range(1, 701))
    assert [answer["content"] for answer in answers] == [f"{turn}" for turn in range(700)]
    stored = entries(world, answers[0]["conversationId"])
    assert [row.content for row in stored] == [f"{turn}" for turn in range(700)]
    times = [row.created_at for row in stored]
    assert all(before < after for before, after in itertools.pairwise(times))


def test_two_processes_on_one_conversation_leave_no_gap_and_no_double(world: World, desks: Any) -> None:
    ann, bob = world.people("Ann", "Bob")
    both = desks(), desks()
    for one in both:
        one.submit(*(one.message(ann, private(ann, bob), f"{turn}") for turn in range(200)))
    for one in both:
        one.await_answers(200)
    answers = [outcome(answer) for one in both for _, answer in one.answers]
    assert sorted(answer["seq"] for answer in answers) == list(range(1, 401))
    stored = entries(world, answers[0]["conversationId"])
    assert all(before.created_at < after.created_at for before, after in itertools.pairwise(stored))


def test_a_note_to_oneself_has_one_member(world: World, desk: Desk) -> None:
    ann = world.person()
    (data,) = desk.send(desk.message(ann, private(ann, ann)))
    assert data["conversationId"] == f"p{ann.user_id}-{ann.user_id}"
    assert desk.told[0].members == (ann.user_id,)


# The same localId.


def test_a_resend_is_the_same_message_with_the_same_answer(world: World, desks: Any) -> None:
    ann, bob = world.people("Ann", "Bob")
    first, again = desks(), desks()
    (data,) = first.send(first.message(ann, private(ann, bob), "hello", "same"))
    assert again.send(again.message(ann, private(ann, bob), "hello", "same")) == [data]
    assert [answer.known for _, answer in (*first.answers, *again.answers)] == [False, True]
    assert again.told == []
    assert len(entries(world, data["conversationId"])) == 1


def test_resends_among_new_messages_are_known_and_each_of_the_others_is_stored_once(world: World, desks: Any) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    first, again = desks(), desks()
    before = first.send(*(first.message(ann, private(ann, bob), f"old {turn}", f"old {turn}") for turn in range(3)))
    mixed = [
        again.message(ann, private(ann, bob), f"{kind} {turn}", f"{kind} {turn}")
        for turn in range(3)
        for kind in ("new", "old")
    ]
    others = [again.message(cat, private(cat, bob), f"other {turn}") for turn in range(3)]
    answers = again.send(*mixed, *others)
    assert answers[1:6:2] == before
    assert [answer["seq"] for answer in answers[0:6:2]] == [4, 5, 6]
    assert [row.content for row in entries(world, before[0]["conversationId"])][3:] == ["new 0", "new 1", "new 2"]
    assert [row.seq for row in entries(world, answers[6]["conversationId"])] == [1, 2, 3]
    assert len(again.told) == 6
    assert again.calls == 1


def test_a_resend_among_others_is_known_though_its_sender_may_send_no_more(world: World, desk: Desk) -> None:
    ann, bob, cat = world.people("Ann", "Bob", "Cat")
    club, choir = world.group(ann, bob, cat), world.group(ann, bob, cat)
    before = [
        desk.send(desk.message(one, group(place), "mine", "mine"))[0] for one, place in ((bob, club), (cat, choir))
    ]
    world.leave(club, bob)
    world.sql(
        "UPDATE memberships SET muted_until = now() + interval '1 h' WHERE conversation_id = :room AND user_id = :who",
        room=world.number(choir),
        who=cat.user_id,
    )
    answers = desk.send(
        desk.message(bob, group(club), "mine", "mine"),
        desk.message(bob, group(club), "new"),
        desk.message(cat, group(choir), "mine", "mine"),
        desk.message(cat, group(choir), "new"),
        desk.message(ann, group(club), "hello"),
    )
    assert answers[:4] == [before[0], "not_a_member", before[1], "muted"]
    assert answers[4]["content"] == "hello"


def test_another_content_under_the_same_local_id_is_refused_and_changes_nothing(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    (data,) = desk.send(desk.message(ann, private(ann, bob), "hello", "same"))
    assert desk.send(desk.message(ann, private(ann, bob), "bye", "same")) == ["local_id_conflict"]
    assert [row.content for row in entries(world, data["conversationId"])] == ["hello"]


def test_a_local_id_is_the_senders_own(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    answers = desk.send(*(desk.message(one, private(ann, bob), "hello", "same") for one in (ann, bob)))
    assert [answer["seq"] for answer in answers] == [1, 2]


def test_copies_that_wait_together_share_one_answer_and_another_content_is_told_apart(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    copies = [desk.message(ann, private(ann, bob), content, "same") for content in ("hello", "hello", "bye", "hello")]
    answers = desk.send(*copies)
    assert answers[2] == "local_id_conflict"
    assert answers[0] == answers[1] == answers[3]
    assert desk.calls == 1
    assert len(desk.told) == len(entries(world, answers[0]["conversationId"])) == 1


def test_copies_share_a_refusal(world: World, desk: Desk) -> None:
    ann, stranger = world.people("Ann", "Stranger")
    club = group(world.group(ann))
    assert desk.send(*(desk.message(stranger, club, "hello", "same") for _ in range(2))) == ["not_a_member"] * 2
    assert desk.writer.idle()


def test_answers_come_in_the_order_of_the_messages_whatever_they_are(world: World, desk: Desk) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    club = world.group(cid)
    desk.send(desk.message(ann, private(ann, bob), "old", "known"))
    desk.answers.clear()
    order = [
        desk.message(ann, private(ann, bob), "one", "1"),
        desk.message(ann, group(club), "two", "2"),
        desk.message(ann, private(ann, bob), "old", "known"),
        desk.message(ann, private(ann, bob), "three", "3"),
        desk.message(ann, private(ann, cid), "four", "4"),
    ]
    desk.send(*order)
    assert [local_id for local_id, _ in desk.answers] == ["1", "2", "known", "3", "4"]


# Refusals.


def test_who_is_no_member_is_muted_or_does_not_exist_is_refused_and_the_rest_is_stored(
    world: World, desk: Desk
) -> None:
    ann, bob, stranger = world.people("Ann", "Bob", "Stranger")
    club = world.group(ann, bob)
    world.sql("UPDATE memberships SET muted_until = now() + interval '1 hour' WHERE user_id = :bob", bob=bob.user_id)
    messages = [
        desk.message(stranger, group(club)),
        desk.message(bob, group(club)),
        desk.message(ann, (0, ann.user_id, 2**50)),
        desk.message(ann, (2**50, 0, 0)),
        desk.message(ann, group(club)),
    ]
    *refused, stored = desk.send(*messages)
    assert refused == ["not_a_member", "muted", "unknown_user", "not_a_member"]
    assert stored["senderId"] == ann.public_id
    assert len(desk.told) == 1


def test_a_resend_by_who_has_left_gets_its_old_answer_and_anything_new_is_refused(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    (data,) = desk.send(desk.message(bob, group(club), "hello", "same"))
    world.leave(club, bob)
    assert desk.send(desk.message(bob, group(club), "hello", "same")) == [data]
    assert desk.send(desk.message(bob, group(club), "again")) == ["not_a_member"]


def resent(desk: Desk, *message: Any, **more: Any) -> Any:
    desk.answers.clear()
    (data,) = desk.send(desk.message(*message, **more))
    assert [answer.known for _, answer in desk.answers] == [True]  # type: ignore[union-attr]
    return data


def test_a_resend_whose_upload_the_sender_sees_no_more_gets_its_message_with_the_media(
    world: World, desk: Desk
) -> None:
    sign_with({"MEDIA_SECRET": "of this test", "JWT_SECRET": ""})
    ann, bob = world.people("Ann", "Bob")
    name, place = kept(world, ann, kind="file", thumbnail="none"), private(ann, bob)
    found = world.do(media.attachment, ann.user_id, name)
    message = desk.message(ann, place, "", "same", digest=5, type="file")
    message.attach(found.number, found.data, found.file_name)
    (data,) = desk.send(message)
    assert (data["content"], data["media"]["id"]) == ("a.jpg", name)
    blind = {"digest": 5, "type": "file", "ask_only": True, "refusal": ChatError("unknown_media")}
    assert resent(desk, ann, place, "", "same", **blind) == data
    desk.answers.clear()
    assert desk.send(desk.message(ann, place, "", "same", **blind | {"digest": 6})) == ["local_id_conflict"]


def test_a_resend_of_what_changed_meanwhile_gets_it_as_it_is_now(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    place, other = private(ann, bob), group(world.group(ann))
    plain, (data,) = desk.message(ann, other, "plain", "same"), desk.send(desk.message(ann, place, "first", "same"))
    number, at = world.number(data["conversationId"]), "2026-01-02T03:04:05.000000Z"
    world.sql("UPDATE conversation_heads SET change = 2 WHERE conversation_id = :id", id=number)
    edit = "content = 'second', change = 2, edited_at = :at, changed_at = :at"
    world.sql(f"UPDATE entries SET {edit} WHERE conversation_id = :id", at=at, id=number)
    assert resent(desk, ann, place, "first", "same") == data | {"content": "second", "change": 2, "editedAt": at}
    world.recall(data["conversationId"], 1)
    (now,) = world.page(bob, data["conversationId"])["messages"]
    assert resent(desk, ann, place, "first", "same") == now
    # Beside others in a batch, each has its own answer.
    desk.answers.clear()
    batch = [plain, desk.message(ann, place, "first", "same"), desk.message(bob, place, "new")]
    assert [answer["content"] for answer in desk.send(*batch)] == ["plain", "", "new"]


def test_a_flooders_message_is_not_written_but_a_resend_gets_its_answer(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    place, flood = private(ann, bob), {"ask_only": True, "refusal": ChatError("rate_limited", retry_after=1)}
    (data,) = desk.send(desk.message(ann, place, "hello", "same"))
    answers = desk.send(desk.message(ann, place, "hello", "same", **flood), desk.message(ann, place, "new", **flood))
    assert answers == [data, "rate_limited"]
    assert len(entries(world, data["conversationId"])) == 1


def test_beyond_the_queue_the_answer_is_overloaded_at_once(world: World, desks: Any) -> None:
    ann, bob = world.people("Ann", "Bob")
    for desk in desks(WRITER_QUEUE=3), desks(WRITER_QUEUE_BYTES=700):
        desk.submit(*(desk.message(ann, private(ann, bob)) for _ in range(3)))
        with pytest.raises(ChatError) as refused:
            desk.submit(*(desk.message(ann, private(ann, bob)) for _ in range(2)))
        assert refused.value.code.name == "overloaded"
        assert refused.value.retry_after
        desk.await_answers(3)
        desk.send(desk.message(ann, private(ann, bob)))
        assert desk.writer.queued == desk.writer.queued_bytes == 0


# What goes wrong.


def test_a_locked_conversation_waits_in_its_order_and_holds_up_no_other(
    world: World, desk: Desk, engine: Engine
) -> None:
    ann, bob = world.people("Ann", "Bob")
    club, other = world.group(ann, bob), world.group(ann, bob)
    with engine.connect() as holder:
        holder.execute(
            text("SELECT 1 FROM conversation_heads WHERE conversation_id = :id FOR UPDATE"), {"id": int(club[1:])}
        )
        desk.submit(*(desk.message(ann, group(club), f"{turn}") for turn in range(3)))
        desk.submit(*(desk.message(bob, group(other), f"{turn}") for turn in range(3)))
        desk.await_answers(3)
        desk.submit(*(desk.message(ann, group(club), f"{turn}") for turn in range(3, 6)))
        assert {outcome(answer)["conversationId"] for _, answer in desk.answers} == {other}
        holder.rollback()
    desk.await_answers(9)
    assert [row.content for row in entries(world, club)] == [f"{turn}" for turn in range(6)]
    assert [outcome(answer)["content"] for _, answer in desk.answers[3:]] == [f"{turn}" for turn in range(6)]


def test_a_conversation_found_locked_again_and_again_is_waited_for_without_asking_in_circles(
    world: World, desk: Desk, engine: Engine
) -> None:
    ann, bob = world.people("Ann", "Bob")
    club, other = world.group(ann, bob), world.group(ann, bob)
    with engine.connect() as holder:
        holder.execute(
            text("SELECT 1 FROM conversation_heads WHERE conversation_id = :id FOR UPDATE"), {"id": int(club[1:])}
        )
        desk.submit(desk.message(ann, group(club)), desk.message(bob, group(other)))
        desk.await_answers(1)
        gevent.sleep(0.3)
        assert desk.calls <= 1 + writer_module.PATIENCE + 1
        desk.send(desk.message(bob, group(other)))  # the other lane is free
        holder.rollback()
    desk.await_answers(3)


def test_several_locked_conversations_hold_up_no_other_however_often_a_lock_is_waited_for_in_vain(
    world: World, desk: Desk, engine: Engine
) -> None:
    """Both lanes would wait for what a frozen process holds, and nobody else could say a word for seconds."""
    ann, bob = world.people("Ann", "Bob")
    *clubs, other = [world.group(ann, bob) for _ in range(5)]
    with engine.connect() as holder:
        numbers = [int(club[1:]) for club in clubs]
        holder.execute(
            text("SELECT 1 FROM conversation_heads WHERE conversation_id = ANY (:ids) FOR UPDATE"), {"ids": numbers}
        )
        for turn in range(3):
            desk.submit(*(desk.message(ann, group(club), f"{turn}") for club in clubs))
            gevent.sleep(0.4)  # a lock is waited for one second
        for _ in range(5):
            with gevent.Timeout(0.5):
                desk.send(desk.message(bob, group(other)))
            gevent.sleep(0.1)
        holder.rollback()
    desk.await_answers(3 * len(clubs) + 5)
    for club in clubs:
        assert [row.content for row in entries(world, club)] == ["0", "1", "2"]


def test_a_poisonous_message_stands_alone_in_the_end_and_the_others_are_stored(world: World, desk: Desk) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    places = [private(ann, bob), private(ann, cid)]
    messages = [desk.message(ann, places[turn % 2], f"{turn}") for turn in range(40)]
    messages[17].content = "a\0b"
    answers = {local_id: outcome(answer) for local_id, answer in (desk.send(*messages), desk.answers)[1]}
    assert answers.pop(messages[17].local_id) == "invalid"
    for place in range(2):
        wire_id = messages[place].wire_id
        wanted = [f"{turn}" for turn in range(40) if turn % 2 == place and turn != 17]
        assert [row.content for row in entries(world, wire_id)] == wanted
    assert len(answers) == 39
    assert all(answer["seq"] for answer in answers.values())


def test_a_connection_lost_in_the_middle_is_made_anew_and_the_message_is_stored_once(
    world: World, desk: Desk, engine: Engine
) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    with engine.connect() as holder:
        holder.execute(
            text("SELECT 1 FROM conversation_heads WHERE conversation_id = :id FOR UPDATE"), {"id": int(club[1:])}
        )
        desk.submit(desk.message(ann, group(club), "hello"))  # alone in its batch: it waits for the lock
        killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'chat writer' AND wait_event_type = 'Lock'"  # noqa: E501
        with gevent.Timeout(PATIENCE):
            while not world.rows(killed)[0][0]:
                gevent.sleep(0.005)
        holder.rollback()
    desk.await_answers(1)
    assert [row.content for row in entries(world, club)] == ["hello"]


def test_a_commit_whose_answer_was_lost_is_asked_for_again_and_known(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    (statement, *_) = desk.writer._statements
    run = statement.run
    lost = iter([True])

    def deaf(*parameters: bytes) -> bytes | None:
        answer = run(*parameters)
        if next(lost, False):
            raise Lost("after the commit")
        return answer

    for each in desk.writer._statements:
        each.run = deaf  # type: ignore[method-assign]
    (data,) = desk.send(desk.message(ann, private(ann, bob), "hello"))
    assert data["content"] == "hello"
    assert len(entries(world, data["conversationId"])) == 1


def test_an_outcome_that_stays_unknown_is_told_as_such(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    monkeypatch.setattr(writer_module, "GIVE_UP", 0.2)

    def away(*_: bytes) -> bytes | None:
        raise Lost("away")

    runs = [statement.run for statement in desk.writer._statements]
    for statement in desk.writer._statements:
        statement.run = away  # type: ignore[method-assign]
    assert desk.send(desk.message(ann, private(ann, bob))) == ["unavailable"]
    for statement, run in zip(desk.writer._statements, runs, strict=True):
        statement.run = run  # type: ignore[method-assign]
    (data,) = desk.send(desk.message(ann, private(ann, bob)))
    assert data["seq"] == 1


def test_a_fault_of_the_database_that_is_no_fault_of_the_message_is_not_told_as_one(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.people("Ann", "Bob")
    monkeypatch.setattr(writer_module, "GIVE_UP", 0.3)
    world.sql("ALTER FUNCTION chat_write_3 RENAME TO chat_write_moved")
    try:
        assert desk.send(desk.message(ann, private(ann, bob))) == ["unavailable"]
    finally:
        world.sql("ALTER FUNCTION chat_write_moved RENAME TO chat_write_3")
    (data,) = desk.send(desk.message(ann, private(ann, bob)))
    assert data["seq"] == 1


def test_a_fault_of_ours_answers_internal_and_the_lane_goes_on(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")

    def broken(batch: list[Outgoing]) -> bytes:
        raise RuntimeError("ours")

    encoded, desk.writer._encoded = desk.writer._encoded, broken  # type: ignore[method-assign]
    assert desk.send(desk.message(ann, private(ann, bob))) == ["internal"]
    desk.writer._encoded = encoded  # type: ignore[method-assign]
    (data,) = desk.send(desk.message(ann, private(ann, bob)))
    assert data["seq"] == 1


def test_two_batches_are_in_flight_but_a_conversation_only_in_one(world: World, desks: Any) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    desk = desks(WRITER_BATCH=1)
    gate, seen, most = Signal(), [], 0
    for statement in desk.writer._statements:

        def slow(*parameters: bytes, run: Any = statement.run) -> bytes | None:
            nonlocal most
            seen.append(orjson.loads(parameters[0])[0]["x"])
            most = max(most, len(desk.writer._in_flight))
            gate.wait()
            answer: bytes | None = run(*parameters)
            return answer

        statement.run = slow
    desk.submit(
        *(desk.message(ann, private(ann, other), name) for other, name in ((bob, "b1"), (bob, "b2"), (cid, "c1")))
    )
    with gevent.Timeout(PATIENCE):
        while len(seen) < 2:
            gevent.sleep(0.002)
    assert seen == ["b1", "c1"]
    gate.set()
    desk.await_answers(3)
    assert most == 2


def test_a_message_uses_its_upload_in_the_commit_that_stores_it(desk: Desk, world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    names_of = [kept(world, ann) for _ in range(2)]
    numbers = [world.rows("SELECT id FROM media WHERE name = :name", name=name)[0].id for name in names_of]
    place = group(world.group(ann, bob))
    batch = [
        desk.message(ann, place, f"{number}", media=number) for number in (numbers[0], None, numbers[1], numbers[0])
    ]
    sent = desk.send(*batch)
    uses = world.rows("SELECT media_id, seq FROM media_uses WHERE conversation_id = :id ORDER BY seq", id=place[0])
    first = sent[0]["seq"]
    assert uses == [(numbers[0], first), (numbers[1], first + 2), (numbers[0], first + 3)]
    assert world.do(media.unused, ann.user_id) == 0


@pytest.mark.parametrize(("lock", "verdict"), [("NO KEY UPDATE", "pictured"), ("UPDATE", "unknown_media")])
def test_whoever_holds_the_row_of_an_upload_holds_up_no_batch(
    desk: Desk, world: World, engine: Engine, lock: str, verdict: str
) -> None:
    ann = world.person()
    number = world.rows("SELECT id FROM media WHERE name = :name", name=kept(world, ann))[0].id
    places = [group(world.group(ann)) for _ in range(2)]
    with engine.connect() as holder:  # as one that finishes a thumbnail does, and as the sweep of unused uploads does
        holder.execute(text(f"SELECT FROM media WHERE id = :id FOR {lock}"), {"id": number})
        pictured, other = desk.send(
            desk.message(ann, places[0], "pictured", media=number), desk.message(ann, places[1], "other")
        )
    assert desk.calls == 1
    assert other["content"] == "other"
    assert (pictured if verdict == "unknown_media" else pictured["content"]) == verdict


def test_an_upload_that_was_deleted_meanwhile_refuses_its_message_alone(desk: Desk, world: World) -> None:
    (ann,) = world.people("Ann")
    number = world.rows("SELECT id FROM media WHERE name = :name", name=kept(world, ann))[0].id
    world.sql("DELETE FROM media WHERE id = :id", id=number)
    place = group(world.group(ann))
    gone, other = desk.send(desk.message(ann, place, "gone", media=number), desk.message(ann, place, "other"))
    assert (gone, other["content"]) == ("unknown_media", "other")


def test_an_upload_of_a_message_that_is_refused_stays_unused(desk: Desk, world: World) -> None:
    ann, eve = world.people("Ann", "Eve")
    number = world.rows("SELECT id FROM media WHERE name = :name", name=kept(world, eve))[0].id
    assert desk.send(desk.message(eve, group(world.group(ann)), media=number)) == ["not_a_member"]
    assert world.rows("SELECT count(*) FROM media_uses WHERE media_id = :id", id=number) == [(0,)]


def test_who_waits_for_the_answer_to_a_message_is_known_until_then(world: World, desk: Desk) -> None:
    ann, bob = world.people("Ann", "Bob")
    low, high = private(ann, bob)[1:]
    message = desk.message(ann, private(ann, bob), local_id="mine", origin="s1")
    desk.submit(message)
    asked = (1, low, high, ann.public_id, "mine")
    assert desk.writer.origin(*asked) == "s1"
    assert desk.writer.origin(1, low, high, bob.public_id, "mine") == ""
    desk.await_answers(1)
    assert desk.writer.origin(*asked) == ""
