"""Thumbnails of large images: made by a worker, told to whoever sees the image, found again when a task is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Connection, create_engine, text

from tasks import attempts, stores
from tasks.attempts import attempts_key
from tasks.thumbnails import make, make_up_for
from tests.bucket import Bucket
from tests.chat.conftest import engine, world
from tests.chat.test_media import kept
from tests.chat.world import World
from tests.clients.native import Client
from tests.clients.person import PATIENCE, Person
from tests.deployment import Deployment, Web, free_port, wait_for
from tests.tasks.crew import Crew
from tests.uploads.hand import download, upload
from tests.uploads.pictures import encoded, opened
from uploads.storage import AwayError, key_of, thumbnail_key_of

__all__ = ["engine", "world"]

LARGE = encoded("JPEG", 800, 600)
HUGE = encoded("JPEG", 4_800, 3_400)  # more than THUMBNAIL_PIXELS as they are by default


class Studio:
    """A server that leaves every thumbnail to the workers, and the workers."""

    def __init__(self, web: Web, deployment: Deployment, folder: Path, **settings: str):
        self.web = web
        self.deployment = deployment
        self.crew = Crew(folder, deployment.environ | settings)
        self.ann, self.bob = Person(web.url), Person(web.url)

    def sent(self, image: bytes = LARGE) -> dict[str, Any]:
        """Upload and send a large image; return the message."""
        media = upload(self.ann, image)
        assert "thumbnailUrl" not in media
        return self.ann.ask("message.send", toUser=self.bob.id, type="image", mediaId=media["id"])  # type: ignore[no-any-return]

    def media_of(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return what the message's media is now, as its receiver reads it."""
        return self.bob.history(message["conversationId"])[message["seq"] - 1]["media"]  # type: ignore[no-any-return]

    def age(self, passed: str = "1 minute") -> None:
        """Let a while pass for everything that is owed."""
        with self.database() as connection:
            older = "created_at = created_at - CAST(:passed AS interval), look_at = look_at - CAST(:passed AS interval)"
            connection.execute(text(f"UPDATE media SET {older}"), {"passed": passed})

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """Give a transaction of our own."""
        engine = create_engine(self.deployment.postgres.url)
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def file_of(self, message: dict[str, Any]) -> Path:
        """Return where the image of a message lies."""
        (path,) = Path(self.deployment.environ["DATA_DIR"], "uploads", "images").rglob(f"{message['media']['id']}*")
        return path

    def thumbnail_of(self, message: dict[str, Any]) -> Path:
        """Return where the thumbnail of a message is to lie."""
        name = message["media"]["id"]
        return Path(self.deployment.environ["DATA_DIR"], "uploads", "thumbnails", name[:2], f"{name}_thumb.jpg")

    def make(self, message: dict[str, Any]) -> None:
        """Enqueue the making of a message's thumbnail."""
        self.crew.send("tasks.thumbnails.make", message["media"]["id"])

    def state(self, message: dict[str, Any]) -> str:
        """Return what the database says about a message's thumbnail."""
        with self.database() as connection:
            asked = {"name": message["media"]["id"]}
            return str(connection.execute(text("SELECT thumbnail FROM media WHERE name = :name"), asked).scalar_one())

    def forget_tasks(self) -> None:
        """Lose the broker's memory."""
        self.crew.sender.control.purge()


@pytest.fixture
def process(
    monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Callable[[str], None]]:
    """Makes this process one of a worker, with its files in a bucket."""
    made = (stores.settings, stores.engine, stores.redis, stores.publisher, stores.storage)

    def forget() -> None:
        if stores.engine.cache_info().currsize:
            stores.engine().dispose()
        for each in made:
            each.cache_clear()

    def be(storage_url: str) -> None:
        forget()
        environ = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "JWT_SECRET": "s" * 32}
        for name, value in (environ | {"DATA_DIR": str(tmp_path), "STORAGE_URL": storage_url}).items():
            monkeypatch.setenv(name, value)

    yield be
    forget()


@pytest.fixture
def studio(servers: Callable[..., Web], deployment: Deployment, tmp_path: Path) -> Iterator[Studio]:
    made = Studio(servers(THUMBNAIL_PIXELS=1_000), deployment, tmp_path)
    yield made
    made.crew.end()


def test_a_large_image_gets_its_thumbnail_and_its_readers_hear_of_it(studio: Studio) -> None:
    reader = Client(studio.bob)
    message = studio.sent()
    small = message["media"]["url"].partition("?")[0].replace("/images/", "/images/thumbnails/").replace(".", "_thumb.")
    early = download(studio.bob, small, token=True)
    assert (early.status_code, opened(early.content).size) == (200, (800, 600))
    assert early.headers["Cache-Control"] == "private, no-cache"
    studio.crew.worker()
    update = reader.wait("message.updated", lambda data: data["id"] == message["id"])
    assert update["change"] == message["change"] + 1
    assert update["media"]["placeholder"].startswith("data:image/webp;base64,")
    assert "editedAt" not in update
    late = download(studio.bob, update["media"]["thumbnailUrl"])
    assert opened(late.content).size == (480, 360)
    assert late.headers["ETag"] != early.headers["ETag"]
    assert studio.media_of(message) == update["media"]
    reader.close()


def test_a_lost_task_is_found_again_from_the_database(studio: Studio) -> None:
    messages = [studio.sent() for _ in range(3)]
    studio.forget_tasks()
    studio.age()
    studio.crew.worker()
    studio.crew.send("tasks.thumbnails.make_up_for")
    for message in messages:
        wait_for(lambda of=message: "thumbnailUrl" in studio.media_of(of), PATIENCE, "a thumbnail")


def test_what_is_owed_is_enqueued_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, ...]] = []

    def send(*asked: Any, **options: Any) -> bool:
        sent.append((*asked, options["expires"]))
        return len(sent) < 3

    monkeypatch.setattr("tasks.thumbnails._unit", lambda _: list("abcd"))
    monkeypatch.setattr("tasks.queue.send", send)
    monkeypatch.setattr("tasks.attempts.given_up", lambda *_: False)
    make_up_for()
    assert sent == [("tasks.thumbnails.make", (name,), 60.0) for name in "abc"]  # until the broker takes no more


def test_a_worker_killed_in_the_middle_and_two_that_do_the_same_leave_one_thumbnail(studio: Studio) -> None:
    message = studio.sent()
    with studio.database() as connection:
        connection.execute(text("SELECT id FROM media WHERE name = :name FOR UPDATE"), {"name": message["media"]["id"]})
        worker = studio.crew.worker()
        wait_for(lambda: studio.thumbnail_of(message).exists(), PATIENCE, "a thumbnail that is not written down")
        studio.crew.kill(worker)
        assert studio.state(message) == "pending"
    studio.age()
    studio.crew.worker()
    for _ in range(4):
        studio.make(message)
        studio.crew.send("tasks.thumbnails.make_up_for")
    wait_for(lambda: "thumbnailUrl" in studio.media_of(message), PATIENCE, "a thumbnail")
    later = studio.sent()
    wait_for(lambda: "thumbnailUrl" in studio.media_of(later), PATIENCE, "the next thumbnail")
    entry = studio.bob.history(message["conversationId"])[0]
    assert entry["change"] == message["change"] + 1


def test_a_worker_killed_before_it_told_has_others_tell(studio: Studio) -> None:
    message = studio.sent()
    with studio.database() as connection:
        held = (
            "SELECT h FROM conversation_heads h JOIN media_uses USING (conversation_id) JOIN media m ON m.id = media_id"
        )
        connection.execute(text(f"{held} WHERE m.name = :name FOR UPDATE OF h"), {"name": message["media"]["id"]})
        worker = studio.crew.worker()
        wait_for(lambda: studio.state(message) == "ready", PATIENCE, "a thumbnail that nobody was told of")
        studio.crew.kill(worker)
    assert "thumbnailUrl" not in studio.media_of(message)
    studio.age()
    studio.crew.worker()
    studio.crew.send("tasks.thumbnails.make_up_for")
    wait_for(lambda: "thumbnailUrl" in studio.media_of(message), PATIENCE, "a thumbnail")
    assert studio.bob.history(message["conversationId"])[0]["change"] == message["change"] + 1


def test_an_image_whose_file_is_gone_is_owed_for_hours_and_then_no_more(studio: Studio) -> None:
    message = studio.sent()
    place = studio.file_of(message)
    away = place.rename(place.with_suffix(".away"))
    studio.crew.worker(1)
    other = studio.sent()  # is done after what is enqueued before it
    studio.make(message)
    studio.make(other)
    wait_for(lambda: studio.state(other) == "ready", PATIENCE, "another thumbnail")
    assert studio.state(message) == "pending"
    studio.age("7 hours")
    studio.make(message)
    wait_for(lambda: "has no file" in studio.crew.log(), PATIENCE, "a word in the log")
    wait_for(lambda: studio.state(message) == "none", PATIENCE, "the end of it")
    assert studio.media_of(message) == message["media"]
    away.unlink()


def test_a_disk_that_fails_for_a_while_costs_no_thumbnail(studio: Studio) -> None:
    message = studio.sent()
    place = studio.file_of(message)
    away = place.rename(place.with_suffix(".away"))
    place.mkdir()  # which can be opened by nobody: EISDIR
    studio.crew.worker()
    studio.make(message)
    wait_for(lambda: "Is a directory" in studio.crew.log(), PATIENCE, "a word in the log")
    assert studio.state(message) == "pending"
    place.rmdir()
    away.rename(place)
    studio.make(message)
    wait_for(lambda: "thumbnailUrl" in studio.media_of(message), PATIENCE, "a thumbnail")


def test_a_worker_makes_thumbnails_of_images_in_a_bucket(
    servers: Callable[..., Web], deployment: Deployment, bucket: Bucket, tmp_path: Path
) -> None:
    web = servers(STORAGE_URL=bucket.url, STORAGE_PUBLIC_URL="")
    studio = Studio(web, deployment, tmp_path, STORAGE_URL=bucket.url)
    try:
        message = studio.sent(HUGE)
        studio.crew.worker()
        wait_for(lambda: "thumbnailUrl" in studio.media_of(message), PATIENCE, "a thumbnail")
        small = download(studio.bob, studio.media_of(message)["thumbnailUrl"])
        assert opened(small.content).size == (480, 340)
        assert small.url.startswith(bucket.endpoint)
    finally:
        studio.crew.end()


def test_an_image_whose_storage_is_away_is_owed_its_thumbnail_until_it_is_back(
    process: Callable[..., None], world: World, bucket: Bucket
) -> None:
    name = kept(world, world.person(), thumbnail="pending", placeholder="")
    world.sql("UPDATE media SET thumbnail = 'ready' WHERE name <> :name", name=name)
    world.sql("UPDATE media SET created_at = now() - interval '1 hour' WHERE name = :name", name=name)

    def state() -> str:
        return world.rows("SELECT thumbnail FROM media WHERE name = :name", name=name)[0].thumbnail

    process(bucket.url.replace(str(bucket.port), str(free_port())))
    for _ in range(attempts.MOST + 1):  # none of which is a death
        with pytest.raises(AwayError):
            make(name)
    assert state() == "pending"
    process(bucket.url)
    storage = stores.storage()
    assert storage is not None
    source = storage.incoming.path / "made"
    source.write_bytes(LARGE)
    storage.put(source, key_of("image", name, ".jpg"))
    make(name)
    assert state() == "ready"
    assert thumbnail_key_of(name) in bucket.stored()
    assert list(storage.incoming.path.iterdir()) == []


def test_an_image_that_took_its_process_along_is_given_up_and_keeps_no_other_waiting(studio: Studio) -> None:
    poison, other = studio.sent(), studio.sent()
    with redis.Redis.from_url(studio.deployment.redis.url) as client:
        client.set(attempts_key("tasks.thumbnails.make", (poison["media"]["id"],), None), attempts.MOST)
    studio.forget_tasks()
    studio.age()
    studio.crew.worker()
    studio.crew.send("tasks.thumbnails.make_up_for")
    wait_for(lambda: "thumbnailUrl" in studio.media_of(other), PATIENCE, "the other thumbnail")
    wait_for(lambda: "GivenUp" in studio.crew.log(), PATIENCE, "a word in the log")
    assert studio.state(poison) == "pending"
    studio.age()
    studio.crew.send("tasks.thumbnails.make_up_for")
    wait_for(lambda: studio.state(poison) == "none", PATIENCE, "the end of it")
    assert "stays without a thumbnail" in studio.crew.log()
    assert studio.media_of(poison) == poison["media"]
