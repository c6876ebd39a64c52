from chat import persons
from chat.services import accounts, users
from tests.chat.door import Presences
from tests.chat.world import NUMBERS


class Node:
    def __init__(self, *online):
        self.presence = Presences()
        self.presence.online |= set(online)


def row_of(world, **changes):
    name = f"person{next(NUMBERS)}"
    made = world.do(accounts.register, name, "hash", name)
    return world.do(users.change, made.user_id, changes)


def test_persons_are_shown_with_their_presence(world):
    ann, bob = row_of(world), row_of(world)
    shown = persons.persons(Node(ann.id), [ann, bob])
    assert [(one["id"], one["online"]) for one in shown] == [(ann.public_id, True), (bob.public_id, False)]


def test_presence_is_not_even_asked_for_who_hides_it(world):
    ann = row_of(world, shows_presence=False)
    node = Node(ann.id)
    node.presence.states = lambda ids: 1 / 0
    assert persons.persons(node, [ann])[0]["online"] is False
    assert persons.presence(node, [ann]) == [
        {"userId": ann.public_id, "online": False, "lastSeenAt": None, "number": 0}
    ]


def test_a_presence_has_the_number_of_its_last_turn(world):
    ann = row_of(world)
    assert persons.presence(Node(ann.id), [ann])[0]["number"] == 7


def test_one_sees_ones_own_presence_in_any_case(world):
    ann = row_of(world, shows_presence=False)
    assert persons.own(Node(ann.id), ann)["online"] is True


def test_who_is_unknown_to_presence_is_offline(world):
    ann = row_of(world)
    node = Node()
    node.presence.states = lambda ids: {}
    assert persons.own(node, ann)["online"] is False
    assert persons.persons(node, [ann])[0]["online"] is False
