"""Clients of one conversation on different workers: every carrier, polls that go round, commands that go elsewhere."""

import re
from collections.abc import Iterator

import pytest
import requests

from tests.clients.crowd import CARRIERS, HEALED, Crowd
from tests.clients.person import PATIENCE, Person, Refused
from tests.clients.wire import Wire
from tests.deployment import Deployment, Web, wait_for

WORKERS = 4
SEVERAL = 3  # of them at least, to be sure that something did not stay with one
TRIES = 10  # to log in, a minute and name: the default


@pytest.fixture(scope="module")
def many(hosts: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One listener with four workers behind it, which leave their numbers in a folder of their own."""
    folder = tmp_path_factory.mktemp("many")
    made = Web({**hosts.environ, "WORKERS": str(WORKERS), "DATA_DIR": str(folder)}, folder / "web.log")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def openers(web: Web) -> int:
    """Return how many workers of a server have opened a session."""
    text = requests.get(web.url + "/metrics", timeout=PATIENCE).text
    return sum(1 for value in re.findall(r"^chat_sessions_opened\S* (\S+)", text, re.MULTILINE) if float(value))


def poll(url: str, person: Person, cursor: str) -> tuple[str, list[str]]:
    """Poll over a connection of its own; return the next cursor, and what the messages say."""
    answer = requests.get(
        f"{url}/api/v1/poll",
        params={"cursor": cursor, "timeout": "2"},
        headers={"Authorization": f"Bearer {person.token}", "Connection": "close"},
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    page = answer.json()
    return page["cursor"], [event["data"]["content"] for event in page["events"] if event["event"] == "message"]


def test_what_is_said_on_any_worker_reaches_every_carrier_on_every_other(many: Web, hosts: Deployment) -> None:
    with Crowd([many.url], hosts.postgres.url) as crowd:
        ann, bob = crowd.persons(2)
        group = ann.group(bob)
        devices = [crowd.device(person, carrier) for person in (ann, bob) for carrier in CARRIERS for _ in range(3)]
        for place, device in enumerate(devices):
            device.send(group, f"from {place}")
        for device in devices:
            device.wait_content(f"from {len(devices) - 1}", HEALED)
        crowd.check()
    wait_for(lambda: openers(many) >= SEVERAL, HEALED, "sessions on several workers")


@pytest.mark.parametrize("way", ["one listener", "in turn"])
def test_a_poll_is_answered_by_another_worker_than_the_one_before_and_nothing_is_missing_or_twice(
    many: Web, broken: Deployment, crowd: Crowd, way: str
) -> None:
    ann, bob = crowd.persons(2)
    urls = [many.url] if way == "one listener" else crowd.urls
    cursor, found = poll(urls[0], bob, "")
    sent = [f"{place}" for place in range(24)]
    for place, content in enumerate(sent):
        ann.send(bob, content)
        cursor, some = poll(urls[place % len(urls)], bob, cursor)
        found += some
    while len(found) < len(sent):
        cursor, some = poll(urls[len(found) % len(urls)], bob, cursor)
        assert some, f"nothing came any more after {found}"
        found += some
    assert found == sent
    crowd.check()


def test_a_command_over_rest_at_another_worker_spares_the_session_that_it_names(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    named, other = Wire.of(ann, url=crowd.urls[0]), Wire.of(ann, url=crowd.urls[1])
    session = named.seen[0]["data"]["sessionId"]
    elsewhere = {"url": crowd.urls[1], "Chat-Session": session}
    bobs = Wire.of(bob, url=crowd.urls[0])
    path = f"/conversations/{group}"
    for place in range(5):
        sent = ann.call("POST", f"{path}/messages", {"content": f"{place}"}, **elsewhere)
        for wire in (other, bobs):
            assert wire.event("message")["seq"] == sent["seq"]
    last = bobs.send(group, "to be read")
    ann.call("POST", f"{path}/read", {"seq": last["seq"]}, **elsewhere)
    assert other.until(lambda frame: frame.get("event") == "unread" and frame["data"]["conversationId"] == group)
    assert bobs.until(lambda f: f.get("event") == "receipt" and f["data"].get("readSeq", 0) == last["seq"])
    named.send(group, "the session still hears")  # whatever was told before it has come before its answer
    bobs.send(group, "and everything else")
    named.until(lambda frame: frame.get("data", {}).get("content") == "and everything else")
    told = [data["content"] for data in named.events("message")]
    assert told == ["to be read", "and everything else"]
    assert not named.events("unread")
    crowd.check()


def test_who_comes_and_who_goes_reads_the_same_on_every_worker_at_once(crowd: Crowd) -> None:
    """What was committed at one worker is what the next question finds at the other: no cache is in between."""
    owner, leaves, again, late = crowd.persons(4)
    group = owner.group(leaves, again, history="joined")

    def read(person: Person, web: int) -> list[str]:
        def asked(op: str, **data: object) -> dict[str, list[dict[str, str]]]:
            found: dict[str, list[dict[str, str]]] = person.ask_as(crowd.urls[web], person.token, op, data)
            return found

        history = asked("history", conversationId=group, limit=100)["messages"]
        state = asked("sync", conversations={group: {"seq": 0, "change": 0}})["conversations"][group]  # type: ignore[call-overload]
        assert [entry["id"] for entry in state["messages"]] == [entry["id"] for entry in history]
        return [entry["content"] for entry in history if entry["type"] == "text"]

    everything: list[str] = []
    for turn in range(6):
        here, there = turn % 2, 1 - turn % 2
        for name in ("before", "after"):
            message = {"conversationId": group, "content": f"{name} {turn}"}
            owner.ask_as(crowd.urls[here], owner.token, "message.send", message)
            everything.append(f"{name} {turn}")
            assert read(owner, there) == everything
            if name == "before":
                owner.remove(group, again)
                owner.add(group, again, late)
        for person in (again, late):
            assert read(person, there) == read(person, here) == [f"after {turn}"]
        owner.remove(group, late)
        with pytest.raises(Refused, match="not_a_member"):
            read(late, there)
    owner.remove(group, leaves)
    for web in (0, 1):
        with pytest.raises(Refused, match="not_a_member"):
            read(leaves, web)
    crowd.check()


def test_a_ticket_of_one_worker_opens_a_session_at_another_once(crowd: Crowd) -> None:
    ann = crowd.person(0)
    ticket = ann.call("POST", "/auth/ticket")["ticket"]
    with Wire(crowd.urls[1], path=f"/ws?ticket={ticket}") as first:
        assert first.event("hello")["user"] == {"id": ann.id}
    with Wire(crowd.urls[0], path=f"/ws?ticket={ticket}") as second:
        assert second.status == 401


def test_a_login_ended_at_one_worker_ends_its_sessions_at_the_other(crowd: Crowd) -> None:
    ann = crowd.person(0)
    made = ann.call("POST", "/auth/register", {"username": f"n{ann.id}", "password": "a long password"})
    wire = Wire(crowd.urls[1], made["accessToken"])
    wire.event("hello")
    ann.call("POST", "/auth/logout", token=made["accessToken"])
    assert wire.end() == 4401


def test_tries_to_log_in_are_counted_over_all_workers(crowd: Crowd) -> None:
    ann = crowd.person(0)
    codes = []
    for place in range(2 * TRIES + 1):  # a minute may end within them
        with pytest.raises(Refused) as refusal:
            data = {"username": f"n{ann.id}", "password": "a wrong password"}
            ann.call("POST", "/auth/login", data, url=crowd.urls[place % 2])
        codes.append(refusal.value.code)
    assert "rate_limited" in codes
    assert codes.index("rate_limited") <= TRIES
