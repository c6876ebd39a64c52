"""Long-poll over a real server: a chain of polls is a session, and a cursor goes on with it anywhere."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests

from tests.clients.person import Person, Refused
from tests.clients.wire import Wire
from tests.deployment import Deployment, Web, wait_for


class Poller:
    """A client that polls when told to, and keeps its cursor."""

    def __init__(self, person: Person, *, token: str = "", url: str = ""):
        self.person = person
        self.token = token or person.token
        self.url = url or person.url
        self.cursor = ""
        self.answers: list[dict[str, Any]] = []

    def poll(self, timeout: int = 0, *, keep: bool = True) -> list[dict[str, Any]]:
        """Poll once; `keep`: take the cursor, as a client does that got the answer."""
        answer = self.person.call(
            "GET", "/poll", {"cursor": self.cursor, "timeout": timeout}, token=self.token, url=self.url
        )
        if keep:
            self.cursor = answer["cursor"]
        self.answers.append(answer)
        events: list[dict[str, Any]] = answer["events"]
        return events

    def until(self, name: str, timeout: int = 5) -> dict[str, Any]:
        """Poll until an event of this name comes."""
        end = time.monotonic() + 15
        while time.monotonic() < end:
            for event in self.poll(timeout):
                if event["event"] == name:
                    data: dict[str, Any] = event["data"]
                    return data
        raise AssertionError(f"no {name}")

    def messages(self, answer: list[dict[str, Any]]) -> list[str]:
        found = []
        for event in answer:
            listed = event["data"]["messages"] if event["event"] == "offline.batch" else [event["data"]]
            found += [data["content"] for data in listed if event["event"] in ("message", "offline.batch")]
        return found


@pytest.fixture
def poller(ann: Person) -> Poller:
    made = Poller(ann)
    assert [event["event"] for event in made.poll()] == ["hello"]
    return made


def test_the_first_poll_greets_at_once(ann: Person, poller: Poller) -> None:
    (hello,) = poller.answers[0]["events"]
    assert hello["data"]["user"]["id"] == ann.id
    assert hello["data"]["pollSeconds"] == 25


def test_a_poll_waits_for_an_event_and_answers_with_it_at_once(ann: Person, bob: Person, poller: Poller) -> None:
    later = threading.Timer(0.3, bob.send, (ann, "hello"))
    begun = time.monotonic()
    later.start()
    assert poller.messages(poller.poll(20)) == ["hello"]
    assert 0.25 < time.monotonic() - begun < 5
    later.join()


def test_a_poll_without_an_event_ends_with_its_time_and_brings_a_cursor(poller: Poller) -> None:
    begun = time.monotonic()
    assert poller.poll(1) == []
    assert 0.8 < time.monotonic() - begun < 2.5
    assert poller.cursor


def test_what_came_between_two_polls_comes_with_the_next(ann: Person, bob: Person, poller: Poller) -> None:
    for turn in range(3):
        bob.send(ann, f"{turn}")
    assert poller.messages(poller.poll(5)) == ["0", "1", "2"]
    assert poller.poll(0) == []


def test_an_answer_that_was_lost_comes_again_and_only_the_cursor_lets_it_go(
    ann: Person, bob: Person, poller: Poller
) -> None:
    bob.send(ann, "one")
    assert poller.messages(poller.poll(5, keep=False)) == ["one"]
    bob.send(ann, "two")
    assert poller.messages(poller.poll(5, keep=False)) == ["one", "two"]
    assert poller.messages(poller.poll(5)) == ["one", "two"]
    assert poller.poll(0) == []


def test_a_cursor_of_long_ago_in_the_chain_is_answered_from_the_log_without_a_gap(
    ann: Person, bob: Person, poller: Poller
) -> None:
    old = poller.cursor
    for turn in range(3):
        bob.send(ann, f"{turn}")
        assert poller.messages(poller.poll(5)) == [f"{turn}"]
    poller.poll(0)
    poller.cursor = old
    assert poller.messages(poller.poll(5)) == ["0", "1", "2"]


def test_a_cursor_goes_on_in_another_process(ann: Person, bob: Person, poller: Poller, hasty: Web) -> None:
    bob.send(ann, "one")
    assert poller.messages(poller.poll(5)) == ["one"]
    bob.send(ann, "two")
    poller.url = hasty.url
    assert poller.messages(poller.poll(5)) == ["two"]
    bob.send(ann, "three")
    assert poller.messages(poller.poll(5)) == ["three"]
    poller.url = ann.url
    bob.send(ann, "four")
    assert poller.messages(poller.poll(5)) == ["four"]


def test_a_cursor_of_a_websocket_goes_on_as_a_poll_and_back(ann: Person, bob: Person) -> None:
    poller = Poller(ann)
    with Wire.of(ann) as wire:
        bob.send(ann, "one")
        wire.event("message")
        poller.cursor = wire.event("cursor")["cursor"]
    bob.send(ann, "two")
    assert poller.messages(poller.poll(5)) == ["two"]
    bob.send(ann, "three")
    with Wire(ann.url, ann.token, path=f"/ws?cursor={poller.cursor}") as wire:
        assert wire.event("message")["content"] == "three"


def test_every_answer_says_whose_it_is_so_that_a_chain_begun_with_a_cursor_can_name_its_session(
    ann: Person, bob: Person, poller: Poller, hasty: Web
) -> None:
    def session(url: str) -> str:
        answer = requests.get(
            f"{url}/api/v1/poll",
            params={"cursor": poller.cursor, "timeout": "0"},
            headers={"Authorization": f"Bearer {ann.token}", "Origin": url},
            timeout=10,
        )
        poller.cursor = answer.json()["cursor"]
        assert "Chat-Session" in answer.headers["Access-Control-Expose-Headers"]
        return answer.headers["Chat-Session"]

    (hello,) = poller.answers[0]["events"]
    assert session(ann.url) == hello["data"]["sessionId"]
    elsewhere = session(hasty.url)
    assert elsewhere not in ("", hello["data"]["sessionId"])
    with Wire.of(ann) as other:
        sent = requests.post(
            f"{hasty.url}/api/v1/users/{bob.id}/messages",
            json={"content": "mine"},
            headers={"Authorization": f"Bearer {ann.token}", "Chat-Session": elsewhere},
            timeout=10,
        )
        assert other.event("message") == sent.json()
    poller.url = hasty.url
    bob.send(ann, "yours")
    assert poller.messages(poller.poll(5)) == ["yours"], "the session that sent has the answer, and not the event too"


@pytest.mark.parametrize("asked", ["where the session is", "of another process"])
def test_a_poll_tells_of_whom_its_session_watches(
    ann: Person, bob: Person, poller: Poller, hasty: Web, asked: str
) -> None:
    (hello,) = poller.answers[0]["events"]
    session = hello["data"]["sessionId"]
    url = ann.url if asked == "where the session is" else hasty.url
    answer = ann.call("PUT", "/presence/watch", {"userIds": [bob.id]}, url=url, **{"Chat-Session": session})
    assert [(one["userId"], one["online"]) for one in answer["presence"]] == [(bob.id, False)]
    with Wire.of(bob):
        assert (poller.until("presence")["userId"], poller.answers[-1]["events"][-1]["data"]["online"]) == (
            bob.id,
            True,
        )


def test_a_cursor_that_comes_back_proves_what_stands_before_it(ann: Person, bob: Person, poller: Poller) -> None:
    conversation = bob.send(ann, "hello")["conversationId"]

    def delivered() -> int:
        return int(bob.call("GET", f"/conversations/{conversation}")["peer"]["deliveredSeq"])

    poller.poll(5, keep=False)
    poller.poll(0)
    assert delivered() == 0
    poller.poll(0)
    wait_for(delivered, 10, "the delivered position")


def test_an_answer_is_bounded_and_the_rest_comes_with_the_next(
    ann: Person, bob: Person, poller: Poller, servers: Callable[..., Web]
) -> None:
    poller.url = servers(POLL_BYTES=10_000).url
    poller.poll(0)
    for turn in range(5):
        bob.send(ann, f"{turn}" + "x" * 4_000)
    got: list[str] = []
    for _ in range(10):
        answer = poller.poll(0)
        assert len(str(answer)) < 13_000
        got += [content[0] for content in poller.messages(answer)]
    assert got == list("01234")


def test_more_than_is_kept_between_two_polls_comes_all_the_same(ann: Person, bob: Person, poller: Poller) -> None:
    with Wire.of(bob) as wire:
        numbers = [wire.post("message.send", toUser=ann.id, content=f"{turn}") for turn in range(300)]
        for number in numbers:
            wire.answer(number)
    got: list[str] = []
    for _ in range(20):
        got += poller.messages(poller.poll(1 if len(got) < 300 else 0))
    assert got == [f"{turn}" for turn in range(300)]


def test_a_backlog_comes_in_batches_each_with_the_poll_that_proves_the_one_before(
    ann: Person, bob: Person, poller: Poller
) -> None:
    with Wire.of(bob) as wire:
        numbers = [wire.post("message.send", toUser=ann.id, content=f"{turn}") for turn in range(280)]
        for number in numbers:  # more than the logs keep
            wire.answer(number)
    poller = Poller(ann)
    assert [event["event"] for event in poller.poll()] == ["hello", "offline.batch"]
    assert [event["event"] for event in poller.poll(5, keep=False)] == ["offline.batch"]
    answers = [poller.answers[0]["events"], *(poller.poll(5) for _ in range(5))]
    assert [[len(event["data"].get("messages", ())) for event in answer][-1] for answer in answers] == [50] * 5 + [30]
    assert [content for answer in answers for content in poller.messages(answer)] == [f"{turn}" for turn in range(280)]
    bob.send(ann, "live")
    assert poller.messages(poller.poll(5)) == ["live"]


def test_a_backlog_goes_on_in_another_process_at_every_poll(
    ann: Person, bob: Person, poller: Poller, hasty: Web
) -> None:
    with Wire.of(bob) as wire:
        numbers = [wire.post("message.send", toUser=ann.id, content=f"{turn}") for turn in range(280)]
        for number in numbers:
            wire.answer(number)
    got: list[str] = []
    for turn in range(8):
        poller.url = (ann.url, hasty.url)[turn % 2]
        got += poller.messages(poller.poll(1))
    assert got == [f"{turn}" for turn in range(280)]


def test_a_cursor_of_another_version_begins_anew(ann: Person, bob: Person, poller: Poller) -> None:
    poller.cursor = "WyJnIiwiZSIsMSwxLCJzIixbXSxbXV0"
    (hello,) = poller.poll(timeout=0)
    assert (hello["event"], hello["data"]["resumed"]) == ("hello", False)
    bob.send(ann, "after it")
    assert "after it" in str(poller.poll())


def test_what_is_longer_than_any_cursor_is_refused(poller: Poller) -> None:
    poller.cursor = "x" * 5_000
    with pytest.raises(Refused) as refused:
        poller.poll()
    assert refused.value.code == "invalid"
    assert "cursor" in refused.value.error["details"]


def test_a_cursor_of_somebody_else_tells_nothing_of_them(ann: Person, bob: Person, poller: Poller) -> None:
    cid = Person(ann.url)
    cid.send(ann, "for ann")
    thief = Poller(bob)
    thief.cursor = poller.cursor
    assert thief.messages(thief.poll(0)) == []
    assert poller.messages(poller.poll(5)) == ["for ann"]


def test_a_login_has_four_polls_at_a_time(ann: Person, poller: Poller) -> None:
    def hold(other: Poller) -> None:
        while True:
            with suppress(Refused):  # the fifth was faster, and has a place for a moment
                other.poll(3)
                return

    others = [Poller(ann) for _ in range(4)]
    for other in others:
        other.poll()
    threads = [threading.Thread(target=hold, args=(other,)) for other in others]
    for thread in threads:
        thread.start()

    def too_many() -> bool:
        try:
            poller.poll(0)
        except Refused as refused:
            return refused.code == "too_many_sessions" and refused.error["retryAfter"] > 0
        return False

    wait_for(too_many, 10, "the refusal")
    for thread in threads:
        thread.join()
    poller.poll(0)


def test_the_end_of_a_login_is_told_to_the_poll_that_waits_and_then_the_token_is_refused(
    ann: Person, poller: Poller
) -> None:
    later = threading.Timer(0.3, ann.call, ("POST", "/auth/logout"))
    later.start()
    assert poller.poll(20)[-1] == {"event": "bye", "data": {"code": "login_ended", "reason": "The login was ended."}}
    later.join()
    with pytest.raises(Refused) as refused:
        poller.poll()
    assert refused.value.error["code"] == "bad_token"


def test_no_poll_holds_a_connection_to_the_database_while_it_waits(ann: Person, poller: Poller) -> None:
    people = [Person(ann.url) for _ in range(12)]
    pollers = [Poller(person) for person in people]
    for one in pollers:
        one.poll()
    threads = [threading.Thread(target=one.poll, args=(3,)) for one in pollers]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    for _ in range(5):
        ann.call("GET", "/conversations")
    assert time.monotonic() - begun < 2
    for thread in threads:
        thread.join()


def test_without_a_token_there_is_nothing(deployment: Deployment) -> None:
    answer = requests.get(deployment.url + "/api/v1/poll", timeout=10)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_authenticated"
