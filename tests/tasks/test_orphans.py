"""Uploads that nobody sends, and files that no upload knows."""

import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from chat.frames import Caller
from tasks import orphans, stores
from tests.bucket import Bucket
from tests.chat.conftest import engine, world
from tests.chat.test_media import kept
from tests.chat.world import World
from tests.clients.person import PATIENCE
from tests.deployment import wait_for
from uploads.storage import SHARDS, Storage, key_of, thumbnail_key_of
from uploads.storage.folder import Folder

__all__ = ["engine", "world"]
MADE = (stores.settings, stores.engine, stores.redis, stores.publisher, stores.storage)
DAY = 86_400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str) -> Iterator[Folder]:
    """The folder of a worker's process."""
    environ = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "JWT_SECRET": "s" * 32, "DATA_DIR": str(tmp_path)}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for made in MADE:
        made.cache_clear()
    yield Folder(tmp_path / "uploads")
    stores.engine().dispose()
    for made in MADE:
        made.cache_clear()


@pytest.fixture
def ann(world: World) -> Caller:
    world.sql("UPDATE media SET used = true")  # what other tests left is none of ours
    return world.person("Ann")


def upload(world: World, folder: Folder, owner: Caller, hours: float = 0) -> str:
    """Keep an image with its files, as old as that."""
    name = kept(world, owner)
    world.sql(
        "UPDATE media SET created_at = now() - make_interval(secs => :age) WHERE name = :name",
        name=name,
        age=hours * 3_600,
    )
    for key in (key_of("image", name, ".jpg"), thumbnail_key_of(name)):
        put(folder, key, hours * 3_600)
    return name


def put(folder: Folder, key: str, age: float) -> None:
    source = folder.incoming.path / "made"
    source.write_bytes(b"x")
    os.utime(source, (time.time() - age, time.time() - age))
    folder.put(source, key)


def names(folder: Folder) -> set[str]:
    return {path.name for path in folder.root.rglob("*") if path.is_file()}


def files_of(*uploads: str) -> set[str]:
    return {f"{name}.jpg" for name in uploads} | {f"{name}_thumb.jpg" for name in uploads}


def rows(world: World, owner: Caller) -> set[str]:
    return {row.name for row in world.rows("SELECT name FROM media WHERE owner_id = :id", id=owner.user_id)}


def test_what_nobody_sent_in_a_day_goes_with_its_files(world: World, folder: Folder, ann: Caller) -> None:
    young, old = upload(world, folder, ann, 23), [upload(world, folder, ann, 25) for _ in range(3)]
    orphans.unused()
    assert rows(world, ann) == {young}
    assert names(folder) == files_of(young)
    assert not set(old) & rows(world, ann)


def test_what_an_entry_uses_stays(world: World, folder: Folder, ann: Caller) -> None:
    name = upload(world, folder, ann, 100)
    world.send(world.group(ann), ann, media=name)
    orphans.unused()
    orphans.files(SHARDS)
    assert rows(world, ann) == {name}
    assert names(folder) == files_of(name)


def test_what_is_used_is_noted_so_that_it_is_looked_at_no_more(
    world: World, folder: Folder, ann: Caller, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "NOTED", 2)
    used, held, unsent = [[upload(world, folder, ann) for _ in range(count)] for count in (5, 1, 1)]
    for name in used + held:
        world.send(world.group(ann), ann, media=name)
    with engine.connect() as holder:
        holder.execute(text("SELECT FROM media WHERE name = :name FOR NO KEY UPDATE"), {"name": held[0]})
        orphans.unused()
    noted = "SELECT name FROM media WHERE owner_id = :id AND used"
    assert {row.name for row in world.rows(noted, id=ann.user_id)} == set(used)
    orphans.unused()
    assert {row.name for row in world.rows(noted, id=ann.user_id)} == {*used, *held}
    assert rows(world, ann) == {*used, *held, *unsent}


def test_what_was_used_while_its_row_was_being_locked_stays(
    world: World, folder: Folder, ann: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, group = upload(world, folder, ann, 25), world.group(ann)
    monkeypatch.setattr(orphans, "_note_used", lambda: None)
    # What it saw when it began: a row that nobody used yet.
    monkeypatch.setattr(
        orphans, "LOCK", text("SELECT id FROM media WHERE name = :name FOR UPDATE").bindparams(name=name)
    )
    world.send(group, ann, media=name)
    orphans.unused()
    assert rows(world, ann) == {name}


def test_more_than_a_batch_goes_in_one_run(world: World, folder: Folder, ann: Caller) -> None:
    for _ in range(orphans.BATCH + 5):
        kept(world, ann)
    world.sql("UPDATE media SET created_at = now() - interval '2 days' WHERE owner_id = :id", id=ann.user_id)
    orphans.unused()
    assert rows(world, ann) == set()


def test_a_message_that_is_being_written_keeps_its_upload(
    world: World, folder: Folder, ann: Caller, engine: Engine
) -> None:
    name, group = upload(world, folder, ann, 25), world.group(ann)
    with engine.connect() as connection, connection.begin():
        assert world.try_to_send(group, ann, media=name, connection=connection)[0] == 0
        orphans.unused()
    assert rows(world, ann) == {name}
    orphans.unused()
    assert rows(world, ann) == {name}
    assert names(folder) == files_of(name)


def test_a_message_that_waits_for_its_conversation_keeps_its_upload(
    world: World, folder: Folder, ann: Caller, engine: Engine
) -> None:
    name, group = upload(world, folder, ann, 25), world.group(ann)
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%chat_write_3%'"
    with ThreadPoolExecutor(1) as other, engine.connect() as connection:
        with connection.begin():
            lock = text("SELECT FROM conversation_heads WHERE conversation_id = :id FOR UPDATE")
            connection.execute(lock, {"id": world.number(group)})
            sent = other.submit(world.try_to_send, group, ann, media=name)
            wait_for(lambda: world.rows(waiting), PATIENCE, "the writer to wait")
            orphans.unused()
        assert sent.result(PATIENCE)[0] == 0
    assert rows(world, ann) == {name}


def test_a_message_that_comes_too_late_is_refused(world: World, folder: Folder, ann: Caller) -> None:
    name, group = upload(world, folder, ann, 25), world.group(ann)
    number = world.rows("SELECT id FROM media WHERE name = :name", name=name)[0].id
    orphans.unused()
    assert world.try_to_send(group, ann, media=number)[0] == 7


def test_files_that_no_upload_knows_go_once_they_are_old(world: World, folder: Folder, ann: Caller) -> None:
    known = upload(world, folder, ann, 25)
    lost, young = secrets.token_hex(16), secrets.token_hex(16)
    put(folder, key_of("file", lost, ".bin"), 25 * 3_600)
    put(folder, thumbnail_key_of(lost), 25 * 3_600)
    put(folder, key_of("file", young, ".bin"), 3_600)
    orphans.files(SHARDS)
    assert names(folder) == files_of(known) | {f"{young}.bin"}
    orphans.files(SHARDS)
    assert names(folder) == files_of(known) | {f"{young}.bin"}


@pytest.fixture
def in_bucket(folder: Folder, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The storage of a worker's process whose files are in a bucket, and old as soon as they are there."""
    prefix = folder.root.parent.name
    environ = {"STORAGE_URL": bucket.url.replace("?", f"/{prefix}?"), "UPLOAD_UNUSED_HOURS": "0"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stores.settings.cache_clear()
    found = stores.storage()
    assert found is not None
    return found


def test_a_file_that_was_put_into_a_bucket_and_never_written_down_goes(
    world: World, in_bucket: Storage, ann: Caller, bucket: Bucket, folder: Folder
) -> None:
    known, lost = kept(world, ann), secrets.token_hex(16)
    keys = [key_of("image", known, ".jpg"), thumbnail_key_of(known), key_of("image", lost, ".jpg")]
    for key in keys:
        source = in_bucket.incoming.path / "made"
        source.write_bytes(b"x")
        in_bucket.put(source, key)
    left = {f"{folder.root.parent.name}/{key}" for key in keys[:2]}

    def here() -> set[str]:
        return {key for key in bucket.stored() if key.startswith(folder.root.parent.name)}

    def swept() -> bool:
        orphans.files([known[:2], lost[:2]])
        return here() == left

    wait_for(swept, PATIENCE, "a file to be older than its second")
    world.sql("UPDATE media SET created_at = now() - interval '1 second' WHERE owner_id = :id", id=ann.user_id)
    orphans.unused()
    assert (here(), rows(world, ann)) == (set(), set())


def test_a_run_ends_in_time_and_any_shard_may_be_first(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = secrets.token_hex(16)
    put(folder, key_of("file", lost, ".bin"), 25 * 3_600)
    monkeypatch.setattr(orphans, "RUN_SECONDS", -1)
    orphans.files(SHARDS)
    assert names(folder) == {f"{lost}.bin"}
    seen: list[str] = []
    monkeypatch.setattr(orphans, "_sweep", lambda _, shard, __: seen.append(shard))
    orphans.files(SHARDS)
    assert sorted(seen) == SHARDS != seen


def test_it_comes_round_to_every_shard(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(orphans, "_sweep", lambda _, shard, __: seen.append(shard))
    for turn in range(len(SHARDS) // orphans.AT_A_TIME):
        monkeypatch.setattr(orphans.time, "time", lambda turn=turn: 1_800_000_000 + turn * orphans.EVERY)
        orphans.files()
    assert sorted(seen) == SHARDS


def test_what_a_killed_process_left_unfinished_goes(folder: Folder) -> None:
    for name, age in (("old", 2 * 3_600), ("new", 0)):
        path = folder.incoming.path / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age, time.time() - age))
    orphans.files(["00"])
    assert names(folder) == {"new"}


def test_both_sweeps_come_with_the_beat() -> None:
    assert {entry["task"] for entry in orphans.SCHEDULE.values()} == {"tasks.orphans.unused", "tasks.orphans.files"}
