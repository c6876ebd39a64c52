"""One poisonous message in a full batch: what the database refuses fails alone."""

from typing import Any

import gevent
import pytest

from chat.config import load
from chat.errors import ChatError
from chat.messages import Sent
from chat.outgoing import Outgoing
from chat.writer import Writer
from tests.clients.crowd import Crowd
from tests.clients.person import Person
from tests.deployment import SECRET, Deployment

BATCH = 60


@pytest.fixture
def config(broken: Deployment) -> dict[str, Any]:
    """The settings that a writer needs."""
    return load({"DATABASE_URL": broken.postgres.url, "REDIS_URL": broken.redis.url, "JWT_SECRET": SECRET}, {})


def outgoing(sender: int, group: int, place: int, content: str, answers: dict[int, Any]) -> Outgoing:
    def done(answer: Sent | ChatError) -> None:
        answers[place] = answer

    return Outgoing(sender, "somebody", (group, 0, 0), f"l{place}", place, "text", content, None, None, "", done)


@pytest.mark.parametrize("poison", ["a NUL \0 in it", "half a \ud800 character"])
def test_a_poisonous_message_fails_alone_and_the_others_of_its_batch_are_stored(
    crowd: Crowd, config: dict[str, Any], poison: str
) -> None:
    ann = crowd.person()
    groups = [int(ann.group()[1:]) for _ in range(3)]
    me = number_of(crowd, ann)
    answers: dict[int, Any] = {}
    writer = Writer(config["DATABASE_URL"], config, lambda events: None)
    for place in range(BATCH):
        writer.submit(outgoing(me, groups[place % 3], place, poison if place == 31 else f"good {place}", answers))
    lanes = [gevent.spawn(loop) for loop in writer.loops.values()]
    with gevent.Timeout(30.0):
        while not writer.idle():
            gevent.sleep(0.01)
    gevent.killall(lanes)
    for statement in writer._statements:
        statement.close()
    refused = {place: answer for place, answer in answers.items() if isinstance(answer, ChatError)}
    assert {place: answer.code.name for place, answer in refused.items()} == {31: "invalid"}
    ledger = crowd.ledger()
    for place, group in enumerate(groups):
        said = [f"good {number}" for number in range(place, BATCH, 3) if number != 31]
        assert [entry.content for entry in ledger[f"g{group}"].rows if entry.type == "text"] == said
    crowd.check()


def number_of(crowd: Crowd, person: Person) -> int:
    """Return a user's internal number: it stands in the id of their notes to themselves."""
    return int(person.send(person, "a note")["conversationId"].split("-")[1])
