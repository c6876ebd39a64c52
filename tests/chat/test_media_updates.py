"""Uploads that change after they were sent, and the entries that follow."""

from typing import Any

import orjson
import pytest

from chat import history, media
from chat.frames import Caller
from chat.history import Wanted
from chat.media_address import sign_with
from chat.media_updates import bring_up_to_date, finish_thumbnail, outdated_uses, owing
from tests.chat.test_media import kept
from tests.chat.world import World

MOST = 1_000
HURRY = "UPDATE media SET look_at = now() - interval '1 second' WHERE look_at IS NOT NULL"


@pytest.fixture
def ann(world: World) -> Caller:
    sign_with({"MEDIA_SECRET": "", "JWT_SECRET": "s" * 32})
    return world.person("Ann")


def pending(world: World, owner: Caller) -> str:
    return kept(world, owner, thumbnail="pending", placeholder="")


def entry(world: World, wire_id: str, seq: int) -> Any:
    """Return an entry's media, its change, and whether it changed since it was written; nobody edited it."""
    (row,) = world.rows(
        "SELECT body, change, changed_at, edited_at FROM entries WHERE conversation_id = :id AND seq = :seq",
        id=world.number(wire_id),
        seq=seq,
    )
    assert row.edited_at is None
    return orjson.loads(row.body)["media"], row.change, row.changed_at is not None


def send(world: World, wire_id: str, sender: Caller, name: str) -> int:
    """Send an upload as the server does: with its JSON in the body."""
    data = world.do(media.attachment, sender.user_id, name).data
    return world.send(wire_id, sender, media=name, body=f'{{"media":{data},"metadata":{{"a":1}}}}')


def follow(world: World, name: str) -> int:
    places = world.do(outdated_uses, name, MOST)
    for conversation, seq in places:
        world.do(bring_up_to_date, name, conversation, seq)
    return len(places)


def test_an_entry_follows_its_upload_in_every_conversation_and_tells(world: World, ann: Caller) -> None:
    name, places = pending(world, ann), [world.group(ann), world.group(ann)]
    seqs = [send(world, place, ann, name) for place in places]
    assert follow(world, name) == 0
    world.do(finish_thumbnail, name, "data:x")
    world.events.clear()
    before = [entry(world, place, seq) for place, seq in zip(places, seqs, strict=True)]
    assert follow(world, name) == 2
    told = {event.data["conversationId"]: event for event in world.told("message.updated")}
    for place, seq, (_, change, _) in zip(places, seqs, before, strict=True):
        after = entry(world, place, seq)
        assert after[0]["placeholder"] == "data:x"
        assert "thumbnailUrl" in after[0]
        assert after[1:] == (change + 1, True)
        event = told[place]
        assert (event.change, event.seq, event.data["metadata"]) == (change + 1, seq, {"a": 1})
        assert event.data["media"]["placeholder"] == "data:x"
        assert "editedAt" not in event.data


def test_what_an_author_edited_stays_edited_then(world: World, ann: Caller) -> None:
    name, place = pending(world, ann), world.group(ann)
    seq, at = send(world, place, ann, name), "2026-01-02T03:04:05.000000Z"
    world.sql("UPDATE entries SET edited_at = :at, changed_at = :at WHERE conversation_id = :id AND seq = :seq",
              at=at, id=world.number(place), seq=seq)  # fmt: skip
    world.do(finish_thumbnail, name, "data:x")
    assert follow(world, name) == 1
    (event,) = world.told("message.updated")
    assert event.data["editedAt"] == at


def test_a_client_that_comes_back_is_told_of_it(world: World, ann: Caller) -> None:
    name, place = pending(world, ann), world.group(ann)
    seq = send(world, place, ann, name)
    number = world.number(place)
    before = entry(world, place, seq)[1]
    world.do(finish_thumbnail, name, "data:x")
    assert follow(world, name) == 1
    missed = world.do(history.missed, ann.user_id, [Wanted(number, 0, 0, seq, before)])
    (changed,) = orjson.loads(orjson.dumps(missed[0].changed))
    assert changed["media"]["placeholder"] == "data:x"


def test_following_twice_changes_nothing(world: World, ann: Caller) -> None:
    name, place = pending(world, ann), world.group(ann)
    seq = send(world, place, ann, name)
    world.do(finish_thumbnail, name, "data:x")
    assert follow(world, name) == 1
    after = entry(world, place, seq)
    world.do(finish_thumbnail, name, "data:other")
    world.do(bring_up_to_date, name, world.number(place), seq)
    assert follow(world, name) == 0
    assert entry(world, place, seq) == after


def test_a_message_that_was_on_its_way_when_the_thumbnail_was_ready_is_found(world: World, ann: Caller) -> None:
    name, place = pending(world, ann), world.group(ann)
    stale = world.do(media.attachment, ann.user_id, name).data
    world.do(finish_thumbnail, name, "data:x")
    world.sql(HURRY)
    assert name not in world.do(owing, MOST)
    seq = world.send(place, ann, media=name, body=f'{{"media":{stale}}}')
    world.sql(HURRY)
    assert name in world.do(owing, MOST)
    assert follow(world, name) == 1
    assert entry(world, place, seq)[2]
    world.sql(HURRY)
    assert name not in world.do(owing, MOST)


def test_telling_is_owed_until_it_is_done_however_long_the_workers_are_away(world: World, ann: Caller) -> None:
    name, place = pending(world, ann), world.group(ann)
    seq = send(world, place, ann, name)
    world.do(finish_thumbnail, name, "data:x")  # and the worker dies
    assert name not in world.do(owing, MOST)
    for age in ("2 hours", "30 days"):
        world.sql(f"UPDATE media SET ready_at = now() - interval '{age}', look_at = now() - interval '{age}'")
        assert name in world.do(owing, MOST)
    assert follow(world, name) == 1
    assert "thumbnailUrl" in entry(world, place, seq)[0]
    world.sql(HURRY)
    assert name not in world.do(owing, MOST)
    assert world.rows("SELECT look_at FROM media WHERE name = :name", name=name) == [(None,)]


def test_what_fails_again_and_again_keeps_no_other_waiting(world: World, ann: Caller) -> None:
    world.sql("UPDATE media SET look_at = NULL")  # what other tests left is none of ours
    failing, others = pending(world, ann), [pending(world, ann) for _ in range(3)]
    for age, name in enumerate([*others[::-1], failing], 1):
        world.sql(
            "UPDATE media SET look_at = now() - make_interval(mins => :age) WHERE name = :name", age=age, name=name
        )
    assert [world.do(owing, 1) for _ in range(5)] == [[failing], *([name] for name in others), []]
    world.sql("UPDATE media SET created_at = now() - interval '8 hours' WHERE name = :name", name=failing)
    world.sql(HURRY)
    assert failing in world.do(owing, MOST)
    pause = "SELECT look_at BETWEEN now() + '110 minutes' AND now() + '2 hours' FROM media WHERE name = :name"
    assert world.rows(pause, name=failing) == [(True,)]


def test_a_thumbnail_that_cannot_be_made_is_owed_no_more(world: World, ann: Caller) -> None:
    name = pending(world, ann)
    assert name not in world.do(owing, MOST)  # it was just enqueued
    world.sql(HURRY)
    assert name in world.do(owing, MOST)
    world.do(finish_thumbnail, name, "")
    assert name not in world.do(owing, MOST)
    assert world.do(media.stored, name, None).thumbnail == "none"


def test_a_recalled_entry_gets_nothing_back(world: World, ann: Caller) -> None:
    name, place = pending(world, ann), world.group(ann)
    seq = send(world, place, ann, name)
    world.recall(place, seq)
    world.do(finish_thumbnail, name, "data:x")
    assert follow(world, name) == 0
