"""Thumbnails of large images: made by a worker, told to whoever sees the image, found again when a task is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tasks import attempts
from tasks.attempts import attempts_key
from tests.clients.native import Client
from tests.clients.person import PATIENCE, Person
from tests.deployment import Deployment, Web, wait_for
from tests.tasks.crew import Crew
from tests.uploads.hand import download, upload
from tests.uploads.pictures import encoded, opened

LARGE = encoded("JPEG", 800, 600)


class Studio:
    """A server that leaves every thumbnail to the workers, and the workers."""

    def __init__(self, web: Web, deployment: Deployment, folder: Path):
        self.web = web
        self.deployment = deployment
        self.crew = Crew(folder, deployment.environ)
        self.ann, self.bob = Person(web.url), Person(web.url)

    def sent(self) -> dict[str, Any]:
        """Upload and send a large image; return the message."""
        media = upload(self.ann, LARGE)
        assert "thumbnailUrl" not in media
        return self.ann.ask("message.send", toUser=self.bob.id, type="image", mediaId=media["id"])  # type: ignore[no-any-return]

    def media_of(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return what the message's media is now, as its receiver reads it."""
        return self.bob.history(message["conversationId"])[message["seq"] - 1]["media"]  # type: ignore[no-any-return]

    def age(self) -> None:
        """Let a while pass for everything that is owed."""
        with psycopg.connect(self.deployment.postgres.url.replace("+psycopg", "")) as connection:
            connection.execute("UPDATE media SET created_at = created_at - interval '1 minute'")

    def state_of(self, message: dict[str, Any]) -> str:
        """Return what the database says of the thumbnail of a message's media."""
        with psycopg.connect(self.deployment.postgres.url.replace("+psycopg", "")) as connection:
            row = connection.execute("SELECT thumbnail FROM media WHERE name = %s", [message["media"]["id"]]).fetchone()
        return str(row and row[0])

    def forget_tasks(self) -> None:
        """Lose the broker's memory."""
        self.crew.sender.control.purge()


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
    assert update["editedAt"]
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


def test_a_killed_worker_and_two_that_do_the_same_leave_one_thumbnail(studio: Studio) -> None:
    message = studio.sent()
    worker = studio.crew.worker()
    wait_for(lambda: studio.crew.pool(worker), PATIENCE, "a worker")
    studio.crew.kill(worker)
    studio.age()
    studio.crew.worker()
    for _ in range(4):
        studio.crew.send("tasks.thumbnails.make", message["media"]["id"])
        studio.crew.send("tasks.thumbnails.make_up_for")
    wait_for(lambda: "thumbnailUrl" in studio.media_of(message), PATIENCE, "a thumbnail")
    later = studio.sent()
    wait_for(lambda: "thumbnailUrl" in studio.media_of(later), PATIENCE, "the next thumbnail")
    entry = studio.bob.history(message["conversationId"])[0]
    assert entry["change"] == message["change"] + 1


def test_an_image_whose_file_is_gone_is_owed_no_more(studio: Studio) -> None:
    message = studio.sent()
    for path in Path(studio.deployment.environ["DATA_DIR"], "uploads").rglob(f"{message['media']['id']}*"):
        path.unlink()
    studio.crew.worker()
    studio.crew.send("tasks.thumbnails.make", message["media"]["id"])
    wait_for(lambda: "has no file" in studio.crew.log(), PATIENCE, "a word in the log")
    assert studio.media_of(message) == message["media"]


def test_an_image_that_took_its_process_along_is_given_up_and_keeps_no_other_waiting(studio: Studio) -> None:
    poison, other = studio.sent(), studio.sent()
    with redis.Redis.from_url(studio.deployment.redis.url) as client:
        client.set(attempts_key("tasks.thumbnails.make", (poison["media"]["id"],), None), attempts.MOST)
    studio.forget_tasks()
    studio.age()
    studio.crew.worker()
    studio.crew.send("tasks.thumbnails.make_up_for")
    wait_for(lambda: "thumbnailUrl" in studio.media_of(other), PATIENCE, "the other thumbnail")
    wait_for(lambda: studio.state_of(poison) == "none", PATIENCE, "the end of it")
    assert "stays without a thumbnail" in studio.crew.log()
    assert studio.media_of(poison) == poison["media"]
