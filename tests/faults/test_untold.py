"""What was committed and never published, for its worker was killed in between: everybody gets it all the same."""

import redis

from chat.cursor import Cursor
from tests.clients.crowd import HEALED, Crowd
from tests.clients.native import Client
from tests.clients.person import Person
from tests.deployment import Deployment, wait_for
from tests.faults.dead_worker import add_untold, commit_untold


def test_who_is_connected_gets_an_untold_message_within_ten_seconds(broken: Deployment, crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    for carrier in ("websocket", "poll", "stream"):
        crowd.device(bob, carrier, web=len(crowd.devices) % 2)
    commit_untold(broken.postgres.url, ann, group, ["untold"])
    for device in crowd.devices:
        device.wait_content("untold", HEALED)
    crowd.check()


def test_a_first_private_message_that_nobody_told_of_arrives_within_ten_seconds(
    broken: Deployment, crowd: Crowd
) -> None:
    ann, bob = crowd.persons(2)
    devices = [crowd.device(bob, "websocket", web) for web in (0, 1)]
    commit_untold(broken.postgres.url, ann, bob, ["untold"])
    for device in devices:
        device.wait_content("untold", HEALED)
    crowd.check()


def test_who_was_let_into_a_group_untold_hears_of_it_within_ten_seconds(broken: Deployment, crowd: Crowd) -> None:
    ann, bob, eve = crowd.persons(3)
    group = ann.group(eve)
    devices = [crowd.device(bob, "websocket", 0), crowd.device(bob, "poll", 1)]
    crowd.device(eve, "websocket", 1)  # in one of the servers somebody is there already
    (before,) = commit_untold(broken.postgres.url, ann, group, ["not for bob"])
    add_untold(broken.postgres.url, ann, group, bob)
    for device in devices:
        device.wait_seq(group, before + 1, HEALED)
    ann.send(group, "for bob")
    for device in devices:
        device.wait_content("for bob")
    crowd.check()


def test_more_untold_messages_than_are_read_at_once_arrive_all_and_in_order(broken: Deployment, crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    device = crowd.device(bob)
    commit_untold(broken.postgres.url, ann, group, [f"untold {place}" for place in range(1_300)])
    device.wait_content("untold 1299", HEALED)
    crowd.check()


def poller(broken: Deployment, crowd: Crowd) -> tuple[Person, str, Client]:
    """Return somebody, their group, and another one's device that polls and stands where the log stands."""
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    device = crowd.device(bob, "poll", auto=False, hold=1)
    device.wait_seq(group, ann.send(group, "told before")["seq"])
    with redis.Redis.from_url(broken.redis.url) as keys:
        wait_for(lambda: cursor_of(device).n == int(keys.get("event:n") or 0), HEALED, "a cursor behind everything")
    device.cut()
    return ann, group, device


def cursor_of(device: Client) -> Cursor:
    """Return where a device stands."""
    cursor = Cursor.decode(device.cursor)
    assert cursor is not None
    return cursor


def test_a_told_message_does_not_hide_an_untold_one_from_who_comes_back(broken: Deployment, crowd: Crowd) -> None:
    ann, group, device = poller(broken, crowd)
    untold = commit_untold(broken.postgres.url, ann, group, ["untold"])[0]
    last = ann.send(group, "told after")
    device.move("poll", crowd.urls[1])
    device.wait_seq(group, last["seq"], HEALED)
    device.wait_seq(group, untold, HEALED)
    crowd.check()


def test_who_comes_back_alone_to_another_server_gets_what_nobody_told_it_of(broken: Deployment, crowd: Crowd) -> None:
    ann, group, device = poller(broken, crowd)
    untold = commit_untold(broken.postgres.url, ann, group, ["untold"])[0]
    device.move("poll", crowd.urls[1])
    device.wait_seq(group, untold, HEALED)
    crowd.check()


def test_who_is_there_gets_an_untold_first_message_though_another_device_of_theirs_opens_its_room(
    broken: Deployment, crowd: Crowd
) -> None:
    ann, bob = crowd.persons(2)
    devices = [crowd.device(bob, carrier) for carrier in ("websocket", "poll", "stream")]
    commit_untold(broken.postgres.url, ann, bob, ["untold"])
    crowd.device(bob)
    for device in devices:
        device.wait_content("untold", HEALED)
    crowd.check()
