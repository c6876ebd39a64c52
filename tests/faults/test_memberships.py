"""Who comes and goes while others write: everybody gets exactly what was theirs to see."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.crowd import Crowd
from tests.clients.native import Client, Refused

ROUNDS = 12  # of each race
BURST = 15  # messages of a round


def together(*acts: Callable[[], object]) -> None:
    """Do several things at once; fails with what one of them failed with."""
    start = threading.Barrier(len(acts))

    def act(one: Callable[[], object]) -> None:
        start.wait()
        one()

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(act, one) for one in acts]:
            done.result()


def talk(device: Client, group: str, name: str) -> None:
    """Send a burst into a group; whoever is put out in the middle of it, is refused from then on."""
    numbers = [device.post("message.send", conversationId=group, content=f"{name} {place}") for place in range(BURST)]
    refused = False
    for number in numbers:
        try:
            device.reply(number)
            assert not refused, "a message after the refusal was taken"
        except Refused as refusal:
            if refusal.code != "not_a_member":
                raise
            refused = True


def test_a_kick_racing_a_send_takes_effect_at_one_place_for_everybody(crowd: Crowd) -> None:
    owner, kicked, other = crowd.persons(3)
    group = owner.group(kicked, other, history="joined")
    senders = [crowd.device(other, web=0), crowd.device(kicked, web=1)]
    for carrier, web in (("websocket", 0), ("poll", 1), ("stream", 0)):
        crowd.device(kicked, carrier, web)
    for turn in range(ROUNDS):
        together(
            lambda turn=turn: talk(senders[0], group, f"other {turn}"),
            lambda turn=turn: talk(senders[1], group, f"kicked {turn}"),
            lambda: owner.remove(group, kicked),
        )
        owner.add(group, kicked)
    crowd.check()


def test_a_join_racing_a_send_shows_everything_since_and_nothing_before(crowd: Crowd) -> None:
    owner, other = crowd.persons(2)
    joiners = crowd.persons(6, web=1)
    group = owner.group(other, joining="open", history="joined")
    sender = crowd.device(other)
    for place, joiner in enumerate(joiners):
        for carrier, web in (("websocket", place % 2), ("poll", 1), ("stream", 0)):
            crowd.device(joiner, carrier, web)
    for joiner in joiners:
        together(
            lambda joiner=joiner: talk(sender, group, joiner.id),
            lambda joiner=joiner: joiner.ask("group.join", groupId=group),
        )
    crowd.check()


@pytest.mark.parametrize("history", ["joined", "all"])
def test_a_joiner_a_rejoiner_and_a_leaver_read_what_is_theirs(crowd: Crowd, history: str) -> None:
    owner, stays, again, leaves, late = crowd.persons(5)
    group = owner.group(stays, again, leaves, history=history)
    owner.send(group, "one")
    owner.remove(group, again)
    owner.send(group, "two")
    owner.add(group, again, late)
    owner.send(group, "three")
    leaves.ask("group.leave", groupId=group)
    owner.send(group, "four")
    everything = ["one", "two", "three", "four"]
    seen = everything if history == "all" else ["three", "four"]
    expected = {owner.id: everything, stays.id: everything, again.id: seen, late.id: seen}
    for person in (owner, stays, again, late):
        texts = [entry["content"] for entry in person.history(group) if entry["type"] == "text"]
        assert texts == expected[person.id]
        state = person.ask("sync", conversations={group: {"seq": 0, "change": 0}})["conversations"][group]
        assert [entry["content"] for entry in state["messages"] if entry["type"] == "text"] == expected[person.id]
        crowd.device(person)
    with pytest.raises(Refused, match="not_a_member"):
        leaves.history(group)
    assert leaves.ask("sync", conversations={group: {"seq": 0, "change": 0}})["conversations"] == {
        group: {"removed": True}
    }
    crowd.check()


def test_who_was_away_while_being_put_out_and_let_in_again_gets_nothing_from_between(crowd: Crowd) -> None:
    owner, person = crowd.persons(2)
    group = owner.group(person, history="joined")
    devices = [
        crowd.device(person, carrier, web, auto=False)
        for web, carrier in enumerate(("websocket", "poll", "stream", "websocket"), -2)
    ]
    owner.send(group, "before")
    for device in devices:
        device.wait_content("before")
        device.cut()
    owner.remove(group, person)
    owner.send(group, "between")
    owner.add(group, person)
    owner.send(group, "since")
    for device in devices:
        device.move()
        device.wait_content("since")
    crowd.check()
