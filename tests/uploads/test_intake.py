"""The way of an upload from a request's body to a row and its files."""

import errno
import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from chat.errors import ChatError
from chat.frames import Caller
from tests.chat.world import World
from tests.uploads.pictures import encoded
from uploads.intake import Body, Intake, storing
from uploads.storage import AwayError
from uploads.storage.folder import Folder
from uploads.workshop import Workshop

MOST = 10_485_760
HOME = "192.0.2.1"


class Teller(World):
    """A process that has tasks enqueued."""

    tasks: list[tuple[str, tuple[Any, ...]]]

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        self.tasks.append((task, arguments))


class Door:
    """Where uploads are handed in, by one user."""

    def __init__(self, world: World, root: Path, **config: Any):
        self.teller = Teller(world.engine, **config)
        self.teller.tasks = []
        self.folder = Folder(root)
        self.intake = Intake(self.teller.config, self.folder, Workshop(), world.engine, self.teller)
        self.user: Caller = world.person()

    def hand_in(self, data: bytes, name: str = "a.jpg", length: int | None = None, key: str = "") -> dict[str, Any]:
        body = (
            f'--b\r\nContent-Disposition: form-data; name="media"; filename="{name}"\r\n\r\n'.encode() + data
        ) + b"\r\n--b--\r\n"
        pieces = iter([body[place : place + 65_536] for place in range(0, len(body), 65_536)])
        wanted = Body(len(body) if length is None else length, "b", lambda _: next(pieces, b""), HOME)
        return orjson.loads(self.intake.take(self.user, wanted, key))

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder.root)) for path in self.folder.root.rglob("*") if path.is_file())

    def rows(self) -> list[Any]:
        return self.teller.rows("SELECT * FROM media WHERE owner_id = :id", id=self.user.user_id)


@pytest.fixture
def door(world: World, tmp_path: Path) -> Door:
    return Door(world, tmp_path / "uploads")


def refusal(work: Callable[[], object]) -> ChatError:
    with pytest.raises(ChatError) as refused:
        work()
    return refused.value


def test_an_image_becomes_two_files_and_a_row(door: Door) -> None:
    media = door.hand_in(encoded("JPEG", 600, 400), "../\u202eholiday.jpg")
    name = media["id"]
    assert door.files() == [f"images/{name[:2]}/{name}.jpg", f"thumbnails/{name[:2]}/{name}_thumb.jpg"]
    assert list(media) == ["id", "kind", "url", "thumbnailUrl", "width", "height", "placeholder", "size", "mimeType"]
    assert media["url"] == f"/uploads/images/{name}.jpg"
    (row,) = door.rows()
    assert (row.kind, row.mime_type, row.thumbnail, row.used, row.file_name) == (
        "image", "image/jpeg", "ready", False, "holiday.jpg",
    )  # fmt: skip
    assert row.size == media["size"] == (door.folder.root / door.files()[0]).stat().st_size
    assert door.teller.tasks == []


def test_small_files_of_many_pixels_are_refused_before_they_are_decoded(world: World, tmp_path: Path) -> None:
    door = Door(world, tmp_path, UPLOAD_RATE=1, UPLOAD_BURST=200_000)
    data = encoded("PNG", 800, 600)
    assert len(data) < 10_000
    door.hand_in(data)
    kept = door.files()
    assert refusal(lambda: door.hand_in(data)).code.name == "rate_limited"
    assert door.files() == kept


def test_no_memory_is_our_fault_and_not_the_images(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("uploads.images._decode", fail)
    assert refusal(lambda: door.hand_in(encoded())).code.name == "overloaded"
    assert (door.files(), door.rows()) == ([], [])


def test_any_other_file_is_kept_as_it_is_under_a_name_of_ours(door: Door) -> None:
    media = door.hand_in(b"hello", "../../etc/passwd")
    assert media == {
        "id": media["id"], "kind": "file", "url": f"/uploads/file/{media['id']}.txt", "size": 5,
        "mimeType": "text/plain", "name": "passwd",
    }  # fmt: skip
    assert (door.folder.root / door.files()[0]).read_bytes() == b"hello"
    assert "passwd" not in door.files()[0]


def test_names_are_never_the_same_and_not_to_be_guessed(door: Door) -> None:
    names = {door.hand_in(b"hello")["id"] for _ in range(10)}
    assert len(names) == 10
    assert {len(name) for name in names} == {32}


def test_a_large_image_has_its_thumbnail_enqueued_after_the_commit(world: World, tmp_path: Path) -> None:
    door = Door(world, tmp_path, THUMBNAIL_PIXELS=1_000)
    media = door.hand_in(encoded("PNG", 64, 48))
    assert "thumbnailUrl" not in media
    assert "placeholder" not in media
    assert door.teller.tasks == [("tasks.thumbnails.make", (media["id"],))]
    assert door.rows()[0].thumbnail == "pending"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encoded("PNG", 64, 48)[:100], "unsupported_media"),
        (encoded("PNG", 100, 101), "too_large"),
        (b"", "invalid"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(world: World, tmp_path: Path, data: bytes, code: str) -> None:
    door = Door(world, tmp_path, IMAGE_PIXELS=10_000)
    assert refusal(lambda: door.hand_in(data)).code.name == code
    assert (door.files(), door.rows()) == ([], [])


def test_a_length_beyond_the_bound_is_refused_before_anything_is_read(door: Door) -> None:
    def read(_: int) -> bytes:
        raise AssertionError("read")

    error = refusal(lambda: door.intake.take(door.user, Body(MOST + 65_537, "b", read, HOME)))
    assert (error.code.name, error.details) == ("too_large", {"unit": "bytes", "most": MOST})


def test_a_length_that_is_not_told_does_not_help(world: World, tmp_path: Path) -> None:
    door = Door(world, tmp_path, UPLOAD_BYTES=10_000)
    pieces = iter([b'--b\r\nContent-Disposition: form-data; name="media"; filename="a"\r\n\r\n', *[b"x" * 1_000] * 100])
    error = refusal(lambda: door.intake.take(door.user, Body(None, "b", lambda _: next(pieces), HOME)))
    assert (error.code.name, error.details) == ("too_large", {"unit": "bytes", "most": 10_000})
    assert len(list(pieces)) > 80
    assert door.files() == []


def test_what_nobody_sends_is_bounded(world: World, tmp_path: Path) -> None:
    door = Door(world, tmp_path, UPLOAD_UNUSED_BYTES=1_000)
    door.hand_in(b"x" * 700)
    assert refusal(lambda: door.hand_in(b"x" * 700)).code.name == "rate_limited"
    world.sql("UPDATE media SET used = true WHERE owner_id = :id", id=door.user.user_id)
    door.hand_in(b"x" * 700)


def test_a_full_disk_is_told_and_leaves_nothing_behind(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Folder, "put", full)
    error = refusal(lambda: door.hand_in(encoded()))
    assert (error.code.name, error.code.status) == ("overloaded", 503)
    assert error.retry_after
    assert not error.code.happened
    assert (door.files(), door.rows()) == ([], [])


def test_a_disk_without_room_for_what_comes_in_is_told_too(door: Door) -> None:
    door.folder.root.mkdir()
    (door.folder.root / "incoming").write_bytes(b"no folder at all")
    assert refusal(lambda: door.hand_in(b"hello")).code.name == "overloaded"


class Short(io.FileIO):
    """A file of which a write takes no more than a thousand bytes."""

    def write(self, piece: Any) -> int:
        return super().write(memoryview(piece)[:1_000])


class Losing(io.FileIO):
    """A file that says it took what it did not keep."""

    def write(self, piece: Any) -> int:
        super().write(memoryview(piece)[1:])
        return len(piece)


def test_a_disk_that_takes_a_part_is_given_the_rest(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.intake._created", lambda path: Short(path, "x"))
    data = bytes(range(256)) * 400
    assert door.hand_in(data)["size"] == len(data)
    assert (door.folder.root / door.files()[0]).read_bytes() == data


def test_a_file_that_is_not_whole_is_not_taken_for_one(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.intake._created", lambda path: Losing(path, "x"))
    assert refusal(lambda: door.hand_in(b"hello" * 100)).code.name == "overloaded"
    assert (door.files(), door.rows()) == ([], [])


def test_a_file_is_closed_beside_the_loop(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    class Closed(io.FileIO):
        def close(self) -> None:
            if not self.closed:
                threads.append(threading.get_native_id())
            super().close()

    monkeypatch.setattr("uploads.intake._created", lambda path: Closed(path, "x"))
    door.hand_in(b"hello")
    assert len(threads) == 1
    assert threads[0] != threading.get_native_id()


def test_a_database_that_refuses_leaves_no_file_behind(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ChatError("overloaded")

    monkeypatch.setattr("chat.media.keep", refuse)
    assert refusal(lambda: door.hand_in(encoded())).code.name == "overloaded"
    assert door.files() == []


def test_a_commit_whose_outcome_is_not_known_keeps_its_files_for_the_sweep(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise ChatError("unavailable")

    monkeypatch.setattr("chat.media.keep", lose)
    assert refusal(lambda: door.hand_in(encoded())).code.name == "unavailable"
    assert len(door.files()) == 2


def test_what_the_disk_says_becomes_an_answer() -> None:
    with pytest.raises(ChatError, match="overloaded"), storing():
        raise PermissionError
    with pytest.raises(KeyError), storing():
        raise KeyError


def test_what_a_storage_elsewhere_says_becomes_an_answer_and_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ChatError, match="overloaded") as refused, storing():
        raise AwayError("S3 refuses put_object: AccessDenied")
    assert refused.value.retry_after == 10
    assert [record.exc_info for record in caplog.records] == [None]
    assert "AccessDenied" in caplog.text


def test_too_many_pixels_are_told_as_pixels(world: World, tmp_path: Path) -> None:
    error = refusal(lambda: Door(world, tmp_path, IMAGE_PIXELS=1_000).hand_in(encoded("PNG", 64, 48)))
    assert error.details == {"unit": "pixels", "most": 1_000}


def test_a_repeated_upload_under_its_key_is_the_first_one_and_leaves_no_second_file(door: Door) -> None:
    first = door.hand_in(encoded(), key="one")
    files = door.files()
    assert door.hand_in(encoded(), key="one") == first
    assert (door.files(), len(door.rows())) == (files, 1)
    assert door.hand_in(encoded(), key="two")["id"] != first["id"]
    assert door.hand_in(encoded())["id"] != first["id"]
    assert len(door.rows()) == 3


@pytest.mark.parametrize(("data", "name"), [(b"other", "a.txt"), (b"hello", "b.txt")])
def test_another_file_under_the_same_key_is_refused_and_leaves_nothing(door: Door, data: bytes, name: str) -> None:
    door.hand_in(b"hello", "a.txt", key="one")
    files = door.files()
    assert refusal(lambda: door.hand_in(data, name, key="one")).code.name == "idempotency_conflict"
    assert (door.files(), len(door.rows())) == (files, 1)


def test_a_repeated_large_image_has_its_thumbnail_enqueued_once(world: World, tmp_path: Path) -> None:
    door = Door(world, tmp_path, THUMBNAIL_PIXELS=1_000)
    names = {door.hand_in(encoded("PNG", 64, 48), key="one")["id"] for _ in range(2)}
    assert door.teller.tasks == [("tasks.thumbnails.make", (name,)) for name in names]


def test_what_a_killed_process_of_this_host_left_goes_with_the_next_upload(door: Door) -> None:
    left, young = (door.folder.incoming.path / name for name in ("left", "young"))
    for path, age in ((left, 2 * 3_600), (young, 60)):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age, time.time() - age))
    door.hand_in(b"hello")
    assert (left.exists(), young.exists()) == (False, True)
