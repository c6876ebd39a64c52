"""Push notifications: who gets one and who does not; found again when the broker is lost; by a real worker."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tasks import pushes, queue, stores
from tests.chat.processes import until
from tests.clients.crowd import Crowd
from tests.clients.person import Person
from tests.tasks.conftest import Site
from tests.tasks.crew import Crew
from tests.tasks.push.test_webhook import SECRET, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.end()


@pytest.fixture(autouse=True)
def settings(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, process: None, site: Site
) -> Iterator[dict[str, str]]:
    """Where pushes go to, for tasks done here; returned for workers. Nobody was told of anything yet."""
    made = {"PUSH_WEBHOOK_URL": receiver.url, "PUSH_WEBHOOK_SECRET": SECRET}
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    stores.settings.cache_clear()
    yield made
    with redis.Redis.from_url(site.redis.url) as client:
        client.delete(*client.keys("push:*"), "nothing")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The notes that were enqueued, as arguments of `send`."""
    tasks: list[tuple[Any, ...]] = []

    def send(_: str, arguments: tuple[Any, ...], **__: Any) -> bool:
        tasks.append(arguments)
        return True

    monkeypatch.setattr(pushes.queue, "send", send)
    return tasks


def number(wire_id: str) -> int:
    return int(wire_id[1:])


def users(sent: list[tuple[Any, ...]]) -> list[str]:
    return sorted(arguments[2]["userId"] for arguments in sent)


def test_members_without_a_session_are_told_and_nobody_else(crowd: Crowd, sent: list[tuple[Any, ...]]) -> None:
    ann, bob, cid, dan, eve = crowd.persons(5)
    group = ann.group(bob, cid, dan, eve)
    crowd.device(cid)
    until(lambda: stores.redis().sismember("presence:online", cid.id), "she is online")
    dan.call("PATCH", f"/conversations/{group}", {"muted": True})
    eve.ask("group.leave", groupId=group)
    ann.send(group, "hello " * 100)
    pushes.find([number(group)])
    assert users(sent) == [bob.id]
    ((channel, _, note, _),) = sent
    (conversation,) = note["conversations"]
    assert channel == "webhook"
    assert conversation["conversationId"] == group
    assert conversation["message"]["senderId"] == ann.id
    assert len(conversation["message"]["content"]) == 200
    assert len(json.dumps(note)) < 20_000


def behind(crowd: Crowd) -> tuple[Person, Person, str]:
    """Return one who wrote, one who is not there, and their group."""
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    ann.send(group, "hello")
    return ann, bob, group


def test_a_user_is_told_once_in_a_while_and_never_of_the_same_twice(
    crowd: Crowd, site: Site, sent: list[tuple[Any, ...]]
) -> None:
    ann, bob, group = behind(crowd)
    for _ in range(3):
        pushes.find([number(group)])
    assert users(sent) == [bob.id]
    pushes.send.run(*sent[0])
    ann.send(group, "and another")
    pushes.find([number(group)])
    assert len(sent) == 1  # too soon
    with redis.Redis.from_url(site.redis.url) as client:
        client.delete(*client.keys("push:user:*"))
    pushes.find([number(group)])
    assert len(sent) == 2
    pushes.send.run(*sent[1])
    with redis.Redis.from_url(site.redis.url) as client:
        client.delete(*client.keys("push:user:*"))
    pushes.find([number(group)])
    assert len(sent) == 2
    assert sent[0][2]["id"] != sent[1][2]["id"]


def test_a_note_that_the_broker_did_not_take_is_made_again(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    _, bob, group = behind(crowd)
    asked: list[Any] = []
    monkeypatch.setattr(queue, "send", lambda _, arguments, **__: bool(asked.append(arguments)))
    pushes.find([number(group)])
    pushes.look()
    assert users(asked).count(bob.id) == 2


def test_a_worker_brings_it_also_after_refusals_and_by_two_beats(
    crowd: Crowd, crew: Crew, receiver: Receiver, settings: dict[str, str]
) -> None:
    crew.environ |= settings
    _, bob, group = behind(crowd)
    receiver.refused = bob.id.encode()
    worker = crew.worker(processes=1)
    crew.two_hasty_beats()

    def mine() -> list[bytes]:
        return [body for _, body in receiver.taken if json.loads(body)["userId"] == bob.id]

    until(mine, "a first note, by beat alone")
    for process in crew.pool(worker):
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: stores.redis().hgetall(f"push:told:{_user_id(bob)}"), "a note that was taken")
    assert len(mine()) == 2  # refused, and taken
    assert len(set(mine())) == 1
    assert json.loads(mine()[0])["conversations"][0]["conversationId"] == group


def _user_id(person: Person) -> int:
    with stores.engine().connect() as connection:
        found = connection.exec_driver_sql("SELECT id FROM users WHERE public_id = %s", (person.id,)).scalar_one()
    return int(found)
