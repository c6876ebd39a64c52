"""One worker alone is slow to tell, or cannot tell at all: order, members, resends and healing at all others."""

import random
import time
from typing import Any

import pytest

from tests.clients.crowd import CARRIERS, HEALED, Crowd
from tests.clients.native import Client
from tests.clients.person import Person
from tests.deployment import Deployment
from tests.hosts.cable import Cable
from tests.load import Load

TURNS = 15  # of each race
HOLE = 0.05  # seconds a hole waits for its event before the database is asked


def everywhere(crowd: Crowd, *people: Person, **more: Any) -> list[Client]:
    """Return a device of each person on each carrier at each web server."""
    places = [(person, carrier, web) for person in people for carrier in CARRIERS for web in (0, 1)]
    return [crowd.device(person, carrier, web, **more) for person, carrier, web in places]


def late(cable: Cable, chance: random.Random) -> None:
    """Let through what the second worker had to tell: before the hole is asked for, or after, or just then."""
    time.sleep(chance.uniform(0, 2 * HOLE))  # the race itself
    cable.thaw()


def test_two_workers_commit_101_and_102_and_publish_102_and_101(crowd: Crowd, cable: Cable) -> None:
    chance = random.Random(1)
    ann, eve, bob = crowd.person(0), crowd.person(1), crowd.person(0)
    group = ann.group(eve, bob)
    devices = everywhere(crowd, bob)
    for turn in range(TURNS):
        cable.freeze()
        first = eve.send(group, f"committed first, told second {turn}")
        second = ann.send(group, f"committed second, told first {turn}")
        assert second["change"] == first["change"] + 1
        late(cable, chance)
        for device in devices:
            device.wait_seq(group, second["seq"], HEALED)
    crowd.check()


def test_a_change_of_members_that_overtakes_a_message_shows_it_to_those_of_before_alone(
    crowd: Crowd, cable: Cable
) -> None:
    chance = random.Random(2)
    owner, kicked, joiner = crowd.persons(3)
    slow = crowd.person(1)
    group = owner.group(slow, kicked, history="joined")
    devices = everywhere(crowd, kicked, joiner, owner)
    for turn in range(TURNS):
        cable.freeze()
        slow.send(group, f"before the change {turn}")
        owner.add(group, joiner)
        owner.remove(group, kicked)
        owner.send(group, f"after the change {turn}")
        late(cable, chance)
        last = slow.send(group, f"in the end {turn}")
        for device in devices:
            if device.person is not kicked:
                device.wait_seq(group, last["seq"], HEALED)
        owner.remove(group, joiner)
        owner.add(group, kicked)
    crowd.check()


def test_a_message_that_overtakes_a_change_of_members_reaches_exactly_those_of_after(
    crowd: Crowd, cable: Cable
) -> None:
    chance = random.Random(3)
    owner = crowd.person(1)
    other, kicked, joiner = crowd.persons(3)
    group = owner.group(other, kicked, history="joined")
    devices = everywhere(crowd, kicked, joiner, other)
    for turn in range(TURNS):
        cable.freeze()
        owner.add(group, joiner)
        owner.remove(group, kicked)
        last = other.send(group, f"after the change {turn}")
        late(cable, chance)
        for device in devices:
            if device.person is not kicked:
                device.wait_seq(group, last["seq"], HEALED)
        owner.remove(group, joiner)
        owner.add(group, kicked)
    crowd.check()


def test_a_worker_killed_between_commit_and_publish_whose_sender_resends_elsewhere_told_once(
    broken: Deployment, crowd: Crowd, cable: Cable
) -> None:
    ann, bob = crowd.person(1), crowd.person(0)
    group = ann.group(bob)
    devices = [crowd.device(bob, carrier, 0) for carrier in CARRIERS]
    message = {"conversationId": group, "content": "told by nobody", "localId": "l"}
    cable.freeze()
    lost = ann.ask("message.send", **message)  # an answer that never arrived, as far as the sender knows
    broken.webs[1].kill_workers()
    again = ann.ask_as(crowd.urls[0], ann.token, "message.send", message)
    assert again == lost
    cable.cut()  # what the dead one had to say stays unsaid
    cable.thaw()
    cable.mend()
    for device in devices:
        device.wait_seq(group, again["seq"], HEALED)
    crowd.check()


@pytest.mark.parametrize("how", ["cut off", "deaf"])
def test_one_worker_alone_without_redis_under_load_costs_no_message(crowd: Crowd, cable: Cable, how: str) -> None:
    load = Load(crowd, seed=31).start()
    load.go_on(60)
    if how == "cut off":
        cable.cut()
    else:
        cable.freeze()
    load.go_on(150)
    cable.mend()
    cable.thaw()
    load.go_on(60)
    load.stop()
    crowd.check()
    assert set(load.refusals) <= {"lost"}


def test_what_is_said_at_a_worker_that_is_cut_off_arrives_within_ten_seconds_and_so_does_what_is_said_to_it(
    crowd: Crowd, cable: Cable
) -> None:
    ann, bob = crowd.person(0), crowd.person(1)
    group = ann.group(bob)
    devices = everywhere(crowd, ann, bob)
    cable.cut()
    here, there = ann.send(group, "at the whole one"), bob.send(group, "at the one that is cut off")
    for device in devices:
        device.wait_seq(group, here["seq"], HEALED)
        device.wait_seq(group, there["seq"], HEALED)
    crowd.check()
