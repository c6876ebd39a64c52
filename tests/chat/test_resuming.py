"""Resuming without a server: the backlog in chunks, each after proof, then what came meanwhile, once and in order."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest

from chat import resuming as resuming_module
from chat.catchup import Missed, Place
from chat.cursor import RECENT, Cursor
from chat.entries import CHUNK, Parcel
from chat.errors import ChatError, CloseReason
from chat.frames import CONVERSATION, USER, Event
from chat.hub import Hub
from chat.opening import Opened
from chat.resuming import BUCKET_US, Resuming, first_cursor, lacks
from chat.session import State
from chat.transports.chain import Chain
from tests.chat.carrier import session_of
from tests.chat.transports.test_chain import taken

ROOM = 7
NOBODY = Cursor("gen", "", 0, 0)


class Node:
    """A node whose catch-ups are the test's: `reads` are answered one after another."""

    generation = "gen"

    def __init__(self) -> None:
        self.hub = Hub(lambda audience: None, print)
        self.catchup = self
        self.log = self
        self.epoch = None  # so that no worker is asked
        self.before_build = lambda: None
        self.proved: Callable[[Any], None] = lambda session: None
        self.edited: dict[int, int] = {}
        self.reads: list[Missed | ChatError] = []
        self.cursors: list[Cursor] = []
        self.ended: list[CloseReason] = []
        self.before_read = lambda: None

    def read(self, user_id: int, cursor: Cursor, generation: str, places: Any, touched: int) -> Missed:
        self.before_read()
        self.cursors.append(cursor)
        answer = self.reads.pop(0)
        if isinstance(answer, ChatError):
            raise answer
        return answer

    def build(self, user_id: int, parcel: Parcel) -> Event:
        """Build a batch here; `edited`: the entry with this seq was changed since it was found to be missing."""
        self.before_build()
        made = batch(*(seq for _, seq, _ in parcel.keys))
        made.told = tuple((room, self.edited.get(seq, seq), seq) for room, _, seq in made.told)
        return made

    def end(self, session: Any, reason: CloseReason) -> None:
        self.ended.append(reason)
        session.state = State.CLOSED

    def cursor(self) -> Cursor:
        return NOBODY

    def cursor_event(self) -> Event:
        return Event("cursor", b"{}", USER, 0, logged=False)


class Return:
    """A session that comes back to a room in which the hub stands at `change`."""

    def __init__(self, change: int = 0):
        self.node = Node()
        self.session = session_of(1, owner=self.node.hub)
        self.session.state = State.CATCHING
        self.node.hub.join(self.node.hub.enter(self.session), ROOM, change, 1)
        self.carrier: Any = self.session.carrier

    def run(self, *reads: Missed | ChatError, cursor: Cursor = NOBODY, change: int = 0) -> Any:
        self.node.reads = list(reads)
        opened = Opened(None, 0, [Place(ROOM, 0, True, change, 0, 0)])
        return gevent.spawn(Resuming(self.node).run, self.session, cursor, opened)

    def prove(self) -> None:
        self.session.proof, taken, self.session.taken = None, self.session.taken, None
        taken()


@pytest.fixture
def back() -> Iterator[Return]:
    return Return()


def message(change: int, **more: Any) -> Event:
    name = more.pop("name", "message")
    return Event(name, b"{}", CONVERSATION, ROOM, **{"change": change, "seq": change, "version": 1} | more)


def batch(*changes: int) -> Event:
    event = Event("offline.batch", b"{}", USER, 0, logged=False)
    event.told = tuple((ROOM, change, change) for change in changes)
    return event


def parcel(*seqs: int) -> Parcel:
    return Parcel([(ROOM, seq, seq) for seq in seqs], 100, 0)


def missed(*events: Event | Parcel) -> Missed:
    return Missed(list(events), False, 0)


def settle() -> None:
    gevent.idle()


def test_a_backlog_is_handed_over_and_the_session_turns_live_behind_it(back: Return) -> None:
    back.node.hub.audiences[ROOM].gate.last = 3
    back.run(missed(message(1), message(2), message(3)))
    settle()
    assert back.carrier.names() == ["message"] * 3 + ["cursor"]
    assert back.session.state is State.LIVE
    assert back.carrier.is_live
    assert back.session.sent == {ROOM: 3}


def test_what_came_meanwhile_follows_once_and_in_order(back: Return) -> None:
    back.node.hub.audiences[ROOM].gate.last = 2
    back.node.before_read = lambda: [back.node.hub.offer(message(change)) for change in (3, 4, 5)]
    back.run(missed(batch(1, 2, 3), message(4)))
    settle()
    assert back.carrier.changes() == [0, 4, 5, 0]  # the batch, what it lacks, what came meanwhile, a cursor


def test_live_events_wait_until_everything_was_handed_over(back: Return) -> None:
    chunks = [batch(*range(1, CHUNK + 1)), batch(*range(CHUNK + 1, 2 * CHUNK))]
    back.node.hub.audiences[ROOM].gate.last = 2 * CHUNK - 1
    back.run(missed(*chunks))
    settle()
    back.node.hub.offer(message(2 * CHUNK))
    assert back.carrier.names() == ["offline.batch"]
    assert back.carrier.pings == 1
    assert back.session.proof == {ROOM: CHUNK}
    back.prove()
    settle()
    assert back.carrier.names() == ["offline.batch", "offline.batch", "message", "cursor"]


def test_a_parcel_is_built_only_when_the_batch_before_it_was_taken(back: Return) -> None:
    built: list[int] = []
    back.node.before_build = lambda: built.append(len(back.carrier.events))  # type: ignore[assignment]
    back.node.hub.audiences[ROOM].gate.last = 6
    back.run(missed(batch(1, 2), parcel(3, 4), parcel(5, 6)))
    for handed in (1, 2):
        settle()
        assert back.carrier.names() == ["offline.batch"] * handed
        assert len(built) == handed - 1
        back.prove()
    settle()
    assert back.carrier.names() == ["offline.batch"] * 3 + ["cursor"]
    assert back.session.state is State.LIVE
    assert back.session.sent == {ROOM: 6}


def test_live_events_that_arrive_during_offline_batches_follow_them_once_and_in_order(back: Return) -> None:
    back.node.hub.audiences[ROOM].gate.last = 4
    back.node.before_build = lambda: [back.node.hub.offer(message(change)) for change in (5, 6)]  # type: ignore[assignment]
    back.run(missed(batch(1, 2), parcel(3, 4, 5)))
    settle()
    back.prove()
    settle()
    assert back.carrier.changes() == [0, 0, 6, 0]  # two batches, what they lack, a cursor


def test_an_entry_changed_between_two_batches_takes_no_live_message_with_it(back: Return) -> None:
    back.node.hub.audiences[ROOM].gate.last = 4
    back.node.edited = {3: 6}  # 5 is a new message, 6 the change of the third
    back.node.before_build = lambda: back.node.hub.offer(message(5))  # type: ignore[assignment]
    running = back.run(missed(batch(1, 2), parcel(3, 4)))
    settle()
    back.prove()
    gevent.sleep(0.05)
    assert back.session.state is State.CATCHING  # until the hub has come to what the batch told already
    back.node.hub.offer(message(6, name="message.updated", seq=3, private=True))
    running.join(5)
    assert back.carrier.changes() == [0, 0, 5, 0]
    assert back.session.state is State.LIVE


def test_a_session_that_ended_while_a_batch_was_built_gets_nothing_more(back: Return) -> None:
    back.node.before_build = lambda: setattr(back.session, "state", State.CLOSED)  # type: ignore[assignment]
    running = back.run(missed(batch(1, 2), parcel(3, 4)))
    settle()
    back.prove()
    running.join(5)
    assert back.carrier.names() == ["offline.batch"]
    assert not back.carrier.is_live


def test_single_events_are_taken_in_chunks_too(back: Return) -> None:
    back.node.hub.audiences[ROOM].gate.last = CHUNK + 1
    back.run(missed(*(message(change) for change in range(1, CHUNK + 2))))
    settle()
    assert len(back.carrier.events) == CHUNK
    back.prove()
    settle()
    assert back.session.state is State.LIVE


def test_who_does_not_take_a_chunk_in_time_is_let_go(back: Return, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming_module, "TAKEN_SECONDS", 0.05)
    running = back.run(missed(batch(*range(1, CHUNK + 1)), batch(CHUNK + 1)))
    running.join(5)
    assert back.node.ended == [CloseReason.LOST]
    assert back.carrier.names() == ["offline.batch"]


def test_a_session_that_ended_while_it_was_waited_for_gets_nothing_more(back: Return) -> None:
    running = back.run(missed(batch(*range(1, CHUNK + 1)), batch(CHUNK + 1)))
    settle()
    back.session.state = State.CLOSED
    back.session.taken()
    running.join(5)
    assert back.carrier.names() == ["offline.batch"]
    assert not back.carrier.is_live


def test_a_poll_too_is_handed_the_next_batch_only_when_it_took_the_last(back: Return) -> None:
    back.carrier.provable = False  # by a ping: the next poll's cursor is the proof
    back.node.hub.audiences[ROOM].gate.last = CHUNK + 1
    back.run(missed(batch(*range(1, CHUNK + 1)), batch(CHUNK + 1)))
    settle()
    assert back.carrier.names() == ["offline.batch"]
    back.prove()
    settle()
    assert back.session.state is State.LIVE


def test_a_poll_gets_more_conversations_than_its_cursor_can_name_all_at_once(back: Return) -> None:
    back.carrier.provable = False
    back.node.hub.reached = lambda *place: True  # type: ignore[method-assign]
    everywhere = batch()
    everywhere.told = tuple((room, 1, 1) for room in range(RECENT))
    back.run(missed(everywhere, Parcel([(RECENT, 1, 1)], 100, 0)))
    settle()
    assert back.carrier.names() == ["offline.batch", "offline.batch", "cursor"]
    assert back.session.state is State.LIVE


def test_a_chain_of_polls_is_answered_with_the_first_batch_however_slowly_the_next_is_built(back: Return) -> None:
    goes_on = gevent.event.Event()
    back.node.before_build = goes_on.wait  # type: ignore[assignment]
    back.node.proved = lambda session: back.prove()
    chain = Chain(back.node, NOBODY, 1)
    chain.session, back.session.carrier = back.session, chain
    back.node.hub.audiences[ROOM].gate.last = 4
    running = back.run(missed(batch(1, 2), parcel(3, 4)))
    assert chain.opened.wait(5)
    frames, cursor = taken(chain, 100_000)
    assert len(frames) == 1
    assert chain.acknowledge(cursor)
    settle()
    assert not chain.ready
    goes_on.set()
    running.join(5)
    frames, cursor = taken(chain, 100_000)
    assert (len(frames), cursor.seen) == (1, {ROOM: (4, 4)})
    assert back.session.state is State.LIVE


def test_more_than_is_kept_meanwhile_is_read_behind_what_was_handed_over(back: Return) -> None:
    back.node.hub.reached = lambda *place: True  # type: ignore[method-assign]
    original = back.node.read

    def read(*given: Any) -> Missed:
        answer = original(*given)
        back.session.overheard = len(back.node.cursors) == 1
        return answer

    back.node.read = read  # type: ignore[method-assign]
    back.run(missed(message(1), message(2)), missed(message(2), message(3)))
    settle()
    assert back.carrier.changes() == [1, 2, 3, 0]
    assert back.node.cursors[1].seen == {ROOM: (2, 0)}
    assert back.session.state is State.LIVE


def test_it_turns_live_only_where_the_hub_stands(back: Return) -> None:
    running = back.run(missed(message(1)))
    gevent.sleep(0.05)
    assert back.session.state is State.CATCHING
    assert back.node.hub.audiences[ROOM].wanted == 1
    back.node.hub.offer(message(1))
    running.join(5)
    assert back.carrier.changes() == [1, 0]
    assert back.session.state is State.LIVE


def test_a_database_that_is_away_is_asked_again(back: Return, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming_module, "AGAIN", 0.01)
    back.node.hub.audiences[ROOM].gate.last = 1
    back.run(ChatError("overloaded"), ChatError("overloaded"), missed(message(1))).join(5)
    assert back.session.state is State.LIVE
    assert back.carrier.changes() == [1, 0]


def test_too_much_is_told_as_resync_and_nothing_of_it_handed_over(back: Return) -> None:
    back.run(Missed([message(1)], True, 0))
    settle()
    assert back.carrier.names() == ["resync"]
    assert back.session.state is State.LIVE


def test_how_far_a_device_had_come_is_not_moved_by_what_it_did_not_prove(back: Return) -> None:
    back.node.hub.audiences[ROOM].gate.last = 1
    back.run(missed(message(1)))
    settle()
    assert back.session.taken_us == 0


def test_a_device_that_lacked_nothing_has_come_to_now(back: Return) -> None:
    back.run(missed())
    settle()
    assert back.session.taken_us > 0


# What a device without a cursor lacks.


def opened(gone_us: int | None, *, touched: int = 0, behind: bool = False, user: int = 0) -> Opened:
    return Opened(gone_us, user, [Place(ROOM, touched, behind, 1, 0, 0)])


def test_a_login_never_seen_lacks_what_no_device_has() -> None:
    assert lacks(opened(None, behind=True))
    assert not lacks(opened(None, touched=2**31 - 1))


def test_a_login_that_has_left_lacks_what_was_touched_since_with_a_margin() -> None:
    gone = 1_000_000_000_000_000
    bucket = gone // BUCKET_US
    assert lacks(opened(gone, touched=bucket))
    assert lacks(opened(gone, touched=bucket - 1))
    assert not lacks(opened(gone, touched=bucket - 4))
    assert lacks(opened(gone, user=bucket))


def test_it_begins_where_it_left_or_nowhere() -> None:
    assert first_cursor("gen", opened(5)) == Cursor("gen", "", 0, 5)
    assert first_cursor("gen", opened(None)) == NOBODY
