import logging

import pytest

from chat.frames import Caller, Command
from chat.node import Node
from tests.clients.native import Client, Person, Refused


def test_a_loop_that_fails_is_told_of_and_begins_anew(caplog, monkeypatch):
    monkeypatch.setattr("chat.node.gevent.sleep", lambda seconds: None)
    runs = []

    def body():
        runs.append(len(runs))
        if len(runs) < 3:
            raise ValueError("broken")

    with caplog.at_level(logging.ERROR):
        Node._supervise(None, "a part", body)
    assert runs == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == ["a part failed and begins anew"] * 2


def test_an_unknown_verb_is_refused_by_its_name(deployment):
    client = Client(Person(deployment.url))
    with pytest.raises(Refused) as refused:
        client.ask("no.such.thing")
    client.close()
    assert refused.value.code == "unknown_verb"


def test_a_creating_command_with_the_key_of_an_earlier_one_is_that_one(deployment):
    ann, key = Person(deployment.url), "k-1"
    made = [
        ann.call("POST", "/groups", {"name": "Club", "memberIds": []}, **{"Idempotency-Key": key}) for _ in range(2)
    ]
    assert made[0]["id"] == made[1]["id"]
    with pytest.raises(Refused) as refused:
        ann.call("POST", "/groups", {"name": "Choir", "memberIds": []}, **{"Idempotency-Key": key})
    assert refused.value.code == "idempotency_conflict"


def test_a_caller_is_told_apart_from_a_command():
    assert Command("ping", 1, {}).idempotency_key == ""
    assert Caller(1, "u1", 2).session_id == ""
