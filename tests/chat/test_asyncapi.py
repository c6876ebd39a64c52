import ast
from pathlib import Path

import pytest

import chat
from chat.asyncapi import EVENTS, asyncapi
from chat.commands import verbs
from tests.chat.test_openapi import references

TOLD_INSIDE = {"login.ended", "presence.watch"}  # between processes only


@pytest.fixture(scope="module")
def document():
    return asyncapi()


def test_every_command_is_described(document):
    described = {
        name.removeprefix("command.") for name in document["components"]["messages"] if name.startswith("command.")
    }
    assert set(verbs()) <= described


def test_every_event_that_the_code_names_is_described():
    """An event is made by Event(name, …) or Event.of(name, …)."""
    named = set()
    for path in Path(chat.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Event", "Event.of") and node.args:
                first = node.args[0]
                named |= {first.value} if isinstance(first, ast.Constant) and isinstance(first.value, str) else set()
    assert "message" in named
    assert named - TOLD_INSIDE <= set(EVENTS)


def test_every_reference_leads_somewhere(document):
    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_a_command_and_an_event_have_their_shapes(document):
    messages = document["components"]["messages"]
    search = messages["command.user.search"]["payload"]["properties"]
    assert search["op"] == {"const": "user.search"}
    assert set(search["data"]["properties"]) == {"query", "limit", "cursor"}
    assert "conversationId" in messages["event.receipt"]["payload"]["properties"]["data"]["required"]
    assert set(messages["reply"]["payload"]["properties"]) == {"re", "data", "error"}
