"""The courier: one for all workers, of no harm to other duties when nobody answers, and never too late."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from chat.frames import Caller
from tasks import courier, pushes, stores
from tasks.push import Later
from tests.chat.processes import until
from tests.chat.world import World
from tests.tasks.conftest import Site
from tests.tasks.crew import Crew
from tests.tasks.receiver import Receiver

pytestmark = pytest.mark.usefixtures("pushing")


def waiting(world: World, count: int) -> list[Caller]:
    """Return people who have something undelivered and are due."""
    ann, *others = world.people(*(f"P{place}" for place in range(count + 1)))
    world.send(world.group(ann, *others), ann)
    courier.note_due({other.user_id: other.public_id for other in others})
    return others


def test_a_webhook_that_hangs_keeps_no_other_duty_waiting(
    world: World, receiver: Receiver, crew: Crew, pushing: dict[str, str], site: Site
) -> None:
    crew.environ |= pushing
    crew.worker()
    receiver.open.clear()
    ann, *others = world.people(*(f"P{place}" for place in range(41)))
    group = world.group(ann, *others)
    world.send(group, ann)
    crew.two_hasty_beats()
    until(lambda: receiver.taken, "the first note is on its way")
    with redis.Redis.from_url(site.redis.url) as client:

        def beaten(times: int) -> None:
            for _ in range(times):
                client.delete("celery:heartbeat")
                until(lambda: client.exists("celery:heartbeat"), "a heartbeat", 4.0)

        beaten(2)
        until(lambda: int(client.get("push:failed:webhook") or 0) >= courier.FAILURES, "the webhook is left alone")
        beaten(5)
    assert len(receiver.taken) == courier.AT_ONCE  # nothing more was tried


def test_a_channel_by_which_nothing_got_through_rests_and_is_tried_again(world: World, receiver: Receiver) -> None:
    waiting(world, 20)
    receiver.answers = [503] * 100
    with pytest.raises(Later):
        courier.bring()
    assert len(receiver.taken) == courier.AT_ONCE
    assert courier.open_channels() == {}
    courier.bring()
    pushes.look()
    assert len(receiver.taken) == courier.AT_ONCE
    assert 0 < stores.redis().ttl("push:failed:webhook") <= courier.REST
    stores.redis().delete("push:failed:webhook")
    receiver.answers.clear()
    pushes.look()
    assert len({body for _, body in receiver.taken[courier.AT_ONCE :]}) == 20


def test_one_failure_beside_successes_rests_nobody(world: World, receiver: Receiver) -> None:
    waiting(world, 40)
    receiver.answers = [204, 503, 204, 204] * 20
    courier.bring()
    assert len(receiver.taken) == 40
    assert list(courier.open_channels()) == ["webhook"]


def test_a_refusal_for_good_is_told_once_and_keeps_nobody_waiting(world: World, receiver: Receiver) -> None:
    waiting(world, 12)
    receiver.answers = [401]
    with pytest.raises(ValueError, match="401"):
        courier.bring()
    courier.bring()
    pushes.look()
    assert len(receiver.taken) == len({body for _, body in receiver.taken}) == 12


def test_of_two_processes_one_brings_and_the_other_goes_on_with_something_else(
    world: World, receiver: Receiver
) -> None:
    waiting(world, 20)
    receiver.open.clear()
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(courier.bring)
        until(lambda: receiver.taken, "the first notes are on their way")
        begun = time.monotonic()
        courier.bring()
        assert time.monotonic() - begun < 1
        receiver.open.set()
        busy.result()
    assert len(receiver.taken) == 20


def test_who_came_read_or_was_put_out_while_the_note_waited_gets_none(world: World, receiver: Receiver) -> None:
    ann, bob, cid, dan, eve = world.people("Ann", "Bob", "Cid", "Dan", "Eve")
    group = world.group(ann, bob, cid, dan, eve)
    world.send(group, ann)
    courier.note_due({member.user_id: member.public_id for member in (bob, cid, dan, eve)})
    world.move(group, bob, 2)
    world.leave(group, cid)
    stores.redis().sadd("presence:online", dan.public_id)
    try:
        courier.bring()
    finally:
        stores.redis().srem("presence:online", dan.public_id)
    assert [len(receiver.notes(member.public_id)) for member in (bob, cid, dan, eve)] == [0, 0, 0, 1]


def test_no_more_are_due_than_there_is_room_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "MOST", 3)
    assert courier.note_due({1: "one", 2: "two words"})
    assert courier.note_due({2: "two words"})
    assert not courier.note_due({3: "three"})
    assert courier._due() == {1: "one", 2: "two words", 3: "three"}
    assert 0 < stores.redis().ttl("push:due") <= courier.FORGOTTEN
