"""Uploads as the core knows them: kept, sent, and seen by whom."""

import secrets
from typing import Any

import orjson

from chat import media
from chat.frames import Caller
from chat.media import Attachment, Upload, data_of, with_thumbnail
from tests.chat.world import World


def picture(**more: Any) -> Upload:
    fields = {
        "name": secrets.token_hex(16), "kind": "image", "mime_type": "image/jpeg", "extension": ".jpg", "size": 5_000,
        "file_name": "a.jpg", "width": 60, "height": 40, "placeholder": "data:x", "thumbnail": "ready",
    }  # fmt: skip
    return Upload(**(fields | more))


def kept(world: World, owner: Caller, **more: Any) -> str:
    upload = picture(**more)
    world.do(media.keep, owner.user_id, upload)
    return upload.name


def may_see(world: World, name: str, *people: Caller) -> list[bool]:
    return [world.do(media.stored, name, person.user_id) is not None for person in people]


def test_the_addresses_stand_first_and_what_is_unknown_is_left_out() -> None:
    whole = orjson.loads(data_of(picture()))
    assert list(whole) == ["id", "kind", "url", "thumbnailUrl", "width", "height", "placeholder", "size", "mimeType"]
    bare = picture(kind="file", thumbnail="none", placeholder="", width=0, height=0, extension=".bin")
    assert list(orjson.loads(data_of(bare))) == ["id", "kind", "url", "size", "mimeType", "name"]
    assert orjson.loads(data_of(bare))["url"] == f"/uploads/file/{bare.name}.bin"


def test_a_thumbnail_made_later_makes_the_same_of_it() -> None:
    upload = picture()
    before = data_of(upload._replace(thumbnail="pending", placeholder=""))
    assert with_thumbnail(before, "data:x") == data_of(upload)


def test_an_upload_may_be_sent_by_whoever_made_it_and_by_nobody_else(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    name = kept(world, ann)
    found = world.do(media.attachment, ann.user_id, name)
    assert isinstance(found, Attachment)
    assert (found.kind, found.file_name, orjson.loads(found.data)["id"]) == ("image", "a.jpg", name)
    assert world.do(media.attachment, bob.user_id, name) is None
    for nonsense in ("", "x", name.upper(), name + "0", "é" * 32):
        assert world.do(media.attachment, ann.user_id, nonsense) is None


def test_members_see_what_an_entry_uses_that_they_see(world: World) -> None:
    ann, bob, late, eve = world.people("Ann", "Bob", "Late", "Eve")
    group = world.group(ann, bob, joining="open")
    name = kept(world, ann)
    assert may_see(world, name, ann, bob) == [True, False]
    world.send(group, ann, media=name)
    world.join(group, late)
    assert may_see(world, name, ann, bob, late, eve) == [True, True, False, False]
    world.leave(group, bob)
    assert may_see(world, name, ann, bob) == [True, False]
    world.join(group, bob)
    assert may_see(world, name, bob) == [False]
    world.send(group, ann, media=name)
    assert may_see(world, name, ann, bob, late, eve) == [True, True, True, False]


def test_what_was_recalled_or_is_gone_by_retention_is_not_seen_by_its_upload_either(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    group, name = world.group(ann, bob), kept(world, ann)
    seqs = [world.send(group, ann, media=name) for _ in range(3)]
    world.recall(group, seqs[2])
    assert may_see(world, name, ann, bob) == [True, True]
    world.sql("UPDATE conversation_heads SET first_seq = :seq WHERE conversation_id = :id",
              seq=seqs[1], id=world.number(group))  # fmt: skip
    assert may_see(world, name, bob) == [True]
    world.recall(group, seqs[1])
    assert may_see(world, name, ann, bob) == [True, False]


def test_a_signed_address_needs_nobody(world: World) -> None:
    (ann,) = world.people("Ann")
    name = kept(world, ann)
    assert world.do(media.stored, name, None).name == name
    assert world.do(media.stored, "0" * 32, None) is None


def test_what_no_entry_uses_is_counted(world: World) -> None:
    ann, bob = world.people("Ann", "Bob")
    names = [kept(world, ann, size=size) for size in (100, 20, 3)]
    assert world.do(media.unused, ann.user_id) == 123
    world.send(world.group(ann), ann, media=names[0])
    assert world.do(media.unused, ann.user_id) == 23
    assert world.do(media.unused, bob.user_id) == 0


def test_an_upload_that_is_gone_is_refused_and_a_stored_message_is_known_all_the_same(
    world: World,
) -> None:
    (ann,) = world.people("Ann")
    group, name = world.group(ann), kept(world, ann)
    world.send(group, ann, media=name, local_id="one")
    number = world.rows("SELECT id FROM media WHERE name = :name", name=name)[0].id
    world.sql("DELETE FROM media WHERE id = :id", id=number)
    assert world.try_to_send(group, ann, media=number)[0] == 7
    assert world.try_to_send(group, ann, media=number, local_id="one")[0] == 1
    assert world.rows("SELECT count(*) FROM media_uses WHERE media_id = :id", id=number) == [(1,)]


def test_a_refused_message_uses_nothing(world: World) -> None:
    ann, eve = world.people("Ann", "Eve")
    group, name = world.group(ann), kept(world, eve)
    assert world.try_to_send(group, eve, media=name)[0] == 3
    assert world.do(media.unused, eve.user_id) == 5_000
