"""The checker finds every kind of violation, each planted once, and nothing where all is well."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.checker import Witness, check, missed
from tests.clients.person import Person
from tests.deployment import Deployment
from tests.ledger import Conversation, Entry, Ledger, Member, read_ledger

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Plant = Callable[[Conversation, Witness, Witness], None]


def row(seq: int, sender: str | None = "ann", content: str = "", **more: Any) -> Entry:
    made = Entry(
        seq, seq, seq, sender, f"l{seq}", "text", content or f"text {seq}", BEGIN + timedelta(microseconds=seq)
    )
    return replace(made, **more)


def told(entry: Entry, conversation: str = "p1-2") -> dict[str, Any]:
    return {
        "id": f"m1-{entry.seq}",
        "conversationId": conversation,
        "seq": entry.seq,
        "change": entry.change,
        "senderId": entry.sender,
        "localId": entry.local_id,
        "type": entry.type,
        "content": entry.content,
        "createdAt": entry.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def talk() -> tuple[Conversation, Witness, Witness]:
    """Return four messages of ann's and bob's, the first two read by bob, and what both saw."""
    rows = [row(1), row(2), row(3, "bob"), row(4)]
    members = {"ann": Member(0, None, 4, 4, 4, 0), "bob": Member(0, None, 4, 2, 2, 1)}
    conversation = Conversation("p1-2", 4, 4, 0, 4, 2, rows=rows, members=members)
    held = {("p1-2", entry.seq): told(entry) for entry in rows}
    ann = Witness("ann's", "ann", [[told(rows[2])]], dict(held), [told(rows[0]), told(rows[1]), told(rows[3])])
    bob = Witness(
        "bob's", "bob", [[told(rows[0]), told(rows[1])], [told(rows[1]), told(rows[3])]], dict(held), [told(rows[2])]
    )
    return conversation, ann, bob


def kinds(conversation: Conversation, *witnesses: Witness) -> set[str]:
    return {violation.kind for violation in check({conversation.wire_id: conversation}, witnesses)}


def set_row(conversation: Conversation, place: int, **more: Any) -> None:
    conversation.rows[place] = replace(conversation.rows[place], **more)


def set_member(conversation: Conversation, user: str, **more: Any) -> None:
    conversation.members[user] = replace(conversation.members[user], **more)


def drop_entry(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    del conversation.rows[1]


def miscount(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    set_row(conversation, 2, count=2)


def store_twice(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    set_row(conversation, 3, local_id="l1")


def turn_clock_back(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    set_row(conversation, 2, created_at=BEGIN + timedelta(microseconds=2))


def let_head_lag(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    conversation.last_seq = 3


def let_change_lag(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    conversation.change = 3


def read_beyond_delivered(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    set_member(conversation, "bob", delivered_seq=1)


def deliver_beyond_last(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    set_member(conversation, "bob", delivered_seq=5)


def forget_own(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    set_member(conversation, "bob", own_count=0)


def ack_unstored(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    ann.acked.append({**told(row(9)), "localId": "never"})


def ack_another(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    ann.acked[0] = {**ann.acked[0], "localId": "other"}


def ack_twice(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    ann.acked.append({**ann.acked[0], "seq": 2, "id": "m1-2"})


def ack_altered(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    ann.acked[0] = {**ann.acked[0], "content": "something else"}


def ack_foreign(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    ann.acked.append(bob.acked[0])


def see_two_contents(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    bob.streams[1][0] = {**bob.streams[1][0], "content": "something else"}


def see_two_seqs(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    bob.streams[1].append({**told(conversation.rows[0]), "seq": 3, "id": "m1-3"})


def hold_unknown(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    bob.held["p1-2", 5] = told(row(5))


def hold_altered(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    bob.streams, bob.held["p1-2", 1] = [], {**told(conversation.rows[0]), "createdAt": "2026-01-02T03:04:05.000009Z"}


def miss_one(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    del bob.held["p1-2", 4]


def miss_an_update(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    set_row(conversation, 0, change=5)
    conversation.change = 5


def alter_media(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    bob.streams, bob.held["p1-2", 1] = [], {**told(conversation.rows[0]), "media": {"id": "other"}}


def turn_round(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    bob.streams[0].reverse()


def repeat(conversation: Conversation, ann: Witness, bob: Witness) -> None:
    bob.streams[0].append(bob.streams[0][0])


PLANTED: dict[str, Plant] = {
    "gap": drop_entry,
    "count": miscount,
    "twice": store_twice,
    "clock": turn_clock_back,
    "head": let_head_lag,
    "head, change": let_change_lag,
    "positions": read_beyond_delivered,
    "positions, delivered": deliver_beyond_last,
    "unread": forget_own,
    "acked_missing": ack_unstored,
    "acked_missing, another": ack_another,
    "acked_twice": ack_twice,
    "acked_wrong": ack_altered,
    "acked_wrong, foreign": ack_foreign,
    "two_contents": see_two_contents,
    "two_seqs": see_two_seqs,
    "unknown": hold_unknown,
    "altered": hold_altered,
    "missed": miss_one,
    "missed, update": miss_an_update,
    "altered, media": alter_media,
    "order": turn_round,
    "repeated": repeat,
}


def test_nothing_is_found_where_all_is_well() -> None:
    assert check({"p1-2": talk()[0]}, talk()[1:]) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    conversation, ann, bob = talk()
    PLANTED[name](conversation, ann, bob)
    assert name.split(",")[0] in kinds(conversation, ann, bob)


def test_a_recalled_message_counts_as_read_and_its_absence_from_the_arithmetic_is_found() -> None:
    conversation, _, _ = talk()
    set_row(conversation, 3, recalled_at=BEGIN)
    assert "head" in kinds(conversation)
    conversation.last_recalled_seq = 4
    assert kinds(conversation) == set()
    set_member(conversation, "bob", read_count=1)
    assert kinds(conversation) == {"unread"}


def test_an_update_of_an_older_entry_comes_when_it_became_so() -> None:
    conversation, ann, bob = talk()
    updated = {**told(conversation.rows[2]), "change": 5}
    set_row(conversation, 2, change=5)
    conversation.change = 5
    for witness in (ann, bob):
        witness.held["p1-2", 3] = updated
    bob.acked = []  # another device's
    bob.streams[1].append(updated)
    assert kinds(conversation, ann, bob) == set()


def test_addresses_of_media_are_the_same_whatever_their_signatures() -> None:
    conversation, ann, bob = talk()
    set_row(conversation, 0, media={"id": "x", "url": "/uploads/x.jpg", "width": 4})
    for witness, signature in ((ann, "?e=1&s=a"), (bob, "?e=2&s=b")):
        shown = {**told(conversation.rows[0]), "media": {"id": "x", "url": f"/uploads/x.jpg{signature}", "width": 4}}
        witness.held["p1-2", 1], witness.streams = shown, []
    ann.acked[0] = ann.held["p1-2", 1]
    assert kinds(conversation, ann, bob) == set()


def test_what_a_user_put_out_of_their_list_need_not_be_asked_for() -> None:
    conversation, ann, bob = talk()
    set_member(conversation, "bob", hidden_seq=3)
    del bob.held["p1-2", 3]
    assert kinds(conversation, ann, bob) == set()
    del bob.held["p1-2", 4]
    assert kinds(conversation, ann, bob) == {"missed"}


def test_who_is_away_may_lack_something_but_has_nothing_else() -> None:
    conversation, ann, bob = talk()
    miss_one(conversation, ann, bob)
    bob.returned = False
    assert kinds(conversation, ann, bob) == set()


def group() -> tuple[Conversation, Witness]:
    """Return a group of ann's that bob left (3), came back to (5), and what bob saw."""
    notices = {1: ("created", []), 3: ("removed", ["bob"]), 5: ("added", ["bob"])}
    rows = []
    count = 0
    for seq in range(1, 7):
        count += seq not in notices
        kind, users = notices.get(seq, ("", []))
        notice = {"kind": kind, "actorId": "ann", "userIds": users} if kind else None
        rows.append(row(seq, None if kind else "ann", count=count, type="system" if kind else "text", notice=notice))
    members = {"ann": Member(0, None, 6, 6, 3, 0), "bob": Member(4, None, 5, 5, 2, 0)}
    made = Conversation("g1", 6, 3, 0, 6, 2, history="joined", rows=rows, members=members)
    return made, Witness("bob's", "bob", [], {("g1", seq): told(rows[seq - 1], "g1") for seq in (1, 2, 5, 6)})


def test_who_came_back_to_a_group_has_what_was_written_before_and_since_but_not_between() -> None:
    made, bob = group()
    assert kinds(made, bob) == set()
    bob.held["g1", 3] = told(made.rows[2], "g1")
    assert kinds(made, bob) == {"foreign"}


def test_who_came_into_a_group_that_shows_its_past_may_have_all_of_it() -> None:
    made, bob = group()
    made.history = "all"
    bob.held |= {("g1", seq): told(made.rows[seq - 1], "g1") for seq in (3, 4)}
    assert kinds(made, bob) == set()


def test_a_stranger_has_nothing_of_a_conversation() -> None:
    made, bob = group()
    bob.user = "eve"
    assert kinds(made, bob) == {"foreign"}


def test_who_left_need_not_have_anything() -> None:
    made, bob = group()
    set_member(made, "bob", left_seq=6)
    made.member_count, bob.held = 1, {}
    assert kinds(made, bob) == set()


@pytest.fixture(scope="module")
def written(deployment: Deployment) -> Ledger:
    """What the database holds after a little talk: two texts, one of them read, and a group."""
    ann, bob = Person(deployment.url), Person(deployment.url)
    try:
        first = ann.send(bob, "one")
        bob.send(ann, "two", readSeq=first["seq"])
        ann.group(bob)
        return read_ledger(deployment.postgres.url, [ann.id, bob.id])
    finally:
        ann.close()
        bob.close()


def test_the_ledger_is_read_as_it_stands(written: Ledger) -> None:
    private, made = sorted(written.values(), key=lambda conversation: conversation.wire_id, reverse=True)
    assert [(entry.seq, entry.content) for entry in private.rows] == [(1, "one"), (2, "two")]
    assert [entry.notice and entry.notice["kind"] for entry in made.rows] == ["created"]
    assert sorted(member.own_count for member in private.members.values()) == [0, 1]
    assert check(written, []) == []


def test_the_ledger_of_some_leaves_the_others_out(deployment: Deployment, written: Ledger) -> None:
    user = next(iter(next(iter(written.values())).members))
    assert set(read_ledger(deployment.postgres.url, [user])) == set(written)
    assert read_ledger(deployment.postgres.url, ["nobody"]) == {}


def test_a_row_lost_in_a_real_database_is_found(deployment: Deployment) -> None:
    with_oneself = Person(deployment.url)
    try:
        acked = [with_oneself.send(with_oneself, text) for text in ("one", "two", "three")]
        with psycopg.connect(deployment.postgres.admin_url) as connection:
            connection.execute("DELETE FROM entries WHERE local_id = %s", [acked[1]["localId"]])
        ledger = read_ledger(deployment.postgres.url, [with_oneself.id])
        witness = Witness("notes", with_oneself.id, acked=acked, returned=False)
        assert {violation.kind for violation in check(ledger, [witness])} == {"gap", "count", "acked_missing"}
        assert missed(ledger, replace(witness, returned=True))
    finally:
        with_oneself.close()
