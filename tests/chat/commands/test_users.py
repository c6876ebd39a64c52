import pytest
from marshmallow import ValidationError

from chat.commands import verbs
from chat.commands.users import ASKED, PresenceSchema, ProfileSchema, SearchSchema
from chat.errors import ChatError
from chat.frames import Caller
from chat.services import accounts
from tests.chat.door import Presences
from tests.chat.world import NUMBERS, World


class Node(World):
    """A world with presence: what these verbs ask of a node."""

    def __init__(self, engine):
        super().__init__(engine)
        self.presence = Presences()


@pytest.fixture
def node(engine):
    return Node(engine)


def person(node):
    name = f"verb{next(NUMBERS)}"
    return Caller(*node.do(accounts.register, name, "hash", name), 1)


def run(node, verb, caller, **data):
    declared = verbs()[verb]
    assert declared.direct
    return declared.run(node, caller, declared.schema().load(data))


def test_the_verbs_of_users_are_found_by_being_there():
    assert {"user.get", "user.me", "user.search", "user.update", "presence.get"} <= set(verbs())


def test_a_user_is_looked_up_by_text_or_number(node):
    ann, bob = person(node), person(node)
    assert run(node, "user.get", bob, userId=ann.public_id)["id"] == ann.public_id
    with pytest.raises(ChatError, match="unknown_user"):
        run(node, "user.get", bob, userId=42)


def test_what_is_not_given_stays(node):
    ann = person(node)
    run(node, "user.update", ann, statusText="here", name="Ann")
    assert run(node, "user.update", ann)["statusText"] == "here"
    assert run(node, "user.me", ann)["name"] == "Ann"


def test_a_change_of_privacy_is_told_and_no_other(node):
    ann = person(node)
    run(node, "user.update", ann, name="Ann", listed=False)
    assert node.presence.said_again == []
    run(node, "user.update", ann, showsPresence=False)
    assert node.presence.said_again == [ann.user_id]


def test_the_schemas_have_the_bounds_of_the_papers():
    assert SearchSchema().load({}) == {"limit": 50, "cursor": "", "query": ""}
    assert ProfileSchema().load({"name": "a" * 64, "statusText": "b" * 200})
    with pytest.raises(ValidationError):
        PresenceSchema().load({"ids": [f"u{number}" for number in range(ASKED + 1)]})
    assert len(PresenceSchema().load({"ids": ",".join(f"u{n}" for n in range(ASKED))})["ids"]) == ASKED
