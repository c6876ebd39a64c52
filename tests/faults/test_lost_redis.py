"""Redis killed, wiped, set back, deaf and silent, under load: nothing is lost, and live delivery heals."""

import os
import signal
from collections.abc import Iterator

import pytest
import redis

from tests.clients.crowd import HEALED, Crowd
from tests.deployment import Deployment
from tests.load import Load

LONG = 300  # messages


@pytest.fixture
def keys(broken: Deployment) -> Iterator[redis.Redis]:
    """Redis as an operator has it."""
    with redis.Redis.from_url(broken.redis.url) as connection:
        yield connection


def test_redis_killed_under_load_costs_no_message(broken: Deployment, crowd: Crowd) -> None:
    load = Load(crowd, seed=11).start()
    load.go_on(100)
    broken.redis.kill()
    load.go_on(150)
    broken.redis.start()
    load.go_on(100)
    load.stop()
    crowd.check()


def test_what_is_said_while_redis_is_dead_arrives_within_ten_seconds(broken: Deployment, crowd: Crowd) -> None:
    load = Load(crowd, seed=12).start()
    load.go_on(50)
    broken.redis.kill()
    load.go_on(50)
    load.stop()
    crowd.check()


def test_first_words_while_redis_is_dead_arrive_within_ten_seconds(broken: Deployment, crowd: Crowd) -> None:
    ann, bob = crowd.persons(2, web=1)
    device = crowd.device(bob, web=0)
    broken.redis.kill()
    ann.send(bob, "nobody knew of this conversation")
    group = ann.group(bob)
    device.wait_content("nobody knew of this conversation", HEALED)
    device.wait_seq(group, 1, HEALED)
    crowd.check()


def test_redis_wiped_under_load_costs_no_message(crowd: Crowd, keys: redis.Redis) -> None:
    load = Load(crowd, seed=13).start()
    for _ in range(6):
        load.go_on(50)
        keys.flushall()
    load.go_on(50)
    load.stop()
    crowd.check()


def test_redis_wiped_ends_no_login(broken: Deployment, crowd: Crowd, keys: redis.Redis) -> None:
    person = crowd.person()
    device = crowd.device(person)
    made = person.call("POST", "/auth/register", {"username": f"n{person.id}", "password": "a long password"})
    keys.flushall()
    assert person.call("GET", "/users/me", token=made["accessToken"])["id"] == made["user"]["id"]
    fresh = person.call("POST", "/auth/refresh", {"refreshToken": made["refreshToken"]})
    assert fresh["accessToken"]
    device.send(person, "still here")
    crowd.check()


def test_redis_set_back_to_an_older_snapshot_under_load_costs_no_message(
    broken: Deployment, crowd: Crowd, keys: redis.Redis
) -> None:
    load = Load(crowd, seed=14).start()
    load.go_on(100)
    keys.save()
    load.go_on(150)
    broken.redis.kill()
    broken.redis.start()
    load.go_on(100)
    load.stop()
    crowd.check()


def test_logs_evicted_under_load_cost_no_message(broken: Deployment, crowd: Crowd, keys: redis.Redis) -> None:
    load = Load(crowd, seed=15).start()
    for _ in range(4):
        load.go_on(50)
        for key in keys.keys("log:*"):
            keys.delete(key)
        for device in crowd.devices:
            device.cut()
    load.go_on(50)
    load.stop()
    crowd.check()


def test_lost_subscriptions_under_load_cost_no_message(crowd: Crowd, keys: redis.Redis) -> None:
    load = Load(crowd, seed=16).start()
    for turn in range(8):
        load.go_on(30)
        keys.client_kill_filter(_type="pubsub")
        for device in crowd.devices[turn % 2 :: 2]:
            device.cut()
    load.go_on(50)
    load.stop()
    crowd.check()


def test_a_redis_that_hangs_costs_no_message(broken: Deployment, crowd: Crowd, keys: redis.Redis) -> None:
    load = Load(crowd, seed=17).start()
    load.go_on(50)
    os.kill(broken.redis.pid, signal.SIGSTOP)
    try:
        talker = load.talkers[0].device
        for place in range(LONG):  # in one conversation more than a gate remembers
            talker.send(load.groups[0], f"while it hangs {place}")
        load.go_on(50)
    finally:
        os.kill(broken.redis.pid, signal.SIGCONT)
    load.go_on(50)
    load.stop()
    crowd.check()


def test_a_worker_killed_between_commit_and_publish_leaves_nothing_untold(
    broken: Deployment, crowd: Crowd, keys: redis.Redis
) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    receiver = crowd.device(bob, "websocket", web=1)
    for turn in range(3):
        sender = crowd.device(ann, "websocket", web=0)
        keys.client_pause(20_000, all=False)  # what writes has to wait: nothing can be published
        for place in range(20):
            sender.send(group, f"acked {turn} {place}", localId=f"{turn} {place}")
        broken.webs[0].kill_workers()
        keys.client_unpause()
        receiver.wait_content(f"acked {turn} 19", HEALED)
    crowd.check()
