"""What `presence.watch` takes, whom it watches and what it answers."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from chat.commands import verbs
from chat.errors import ChatError
from chat.frames import Caller
from chat.hub import Hub
from chat.session import Session
from chat.watchers import watch_event
from tests.chat.world import World


class Presence:
    """Says that everybody is online, and notes whether the hub knew of the watcher by then."""

    def __init__(self, hub: Hub):
        self.hub = hub
        self.watched: set[int] = set()

    def states(self, user_ids: Any) -> dict[int, tuple[bool, int]]:
        self.watched = set(self.hub.watchers)
        return dict.fromkeys(user_ids, (True, 7))


@pytest.fixture
def node(world: World) -> Any:
    hub = Hub(lambda audience: None, lambda audience: None)
    parts = {"config": {"PRESENCE_WATCH": 3}, "hub": hub, "presence": Presence(hub)}

    def watch(caller: Caller, watched: list[int]) -> None:
        hub.offer(watch_event(caller, watched))

    return SimpleNamespace(watch=watch, engine=world.engine, tell=world.tell, enqueue=world.enqueue, **parts)


def watch(node: Any, caller: Any, *ids: str) -> Any:
    verb = verbs()["presence.watch"]
    return verb.run(node, caller, verb.schema().load({"userIds": list(ids)}))


def named(person: Caller) -> Caller:
    """Return a caller who names a session that is not here."""
    return replace(person, session_id="elsewhere")


def test_a_session_watches_exactly_those_it_named_last_and_hears_their_states(node: Any, world: World) -> None:
    ann, bob, eve = world.person(), world.person(), world.person()
    caller = Caller(ann.user_id, ann.public_id, 1, "s1")
    node.hub.sessions["s1"] = Session("s1", None, 0.0, caller)  # type: ignore[arg-type]
    answer = watch(node, caller, bob.public_id, bob.public_id, eve.public_id, "nobody")
    assert {(one["userId"], one["online"], one["number"]) for one in answer["presence"]} == {
        (bob.public_id, True, 7), (eve.public_id, True, 7),
    }  # fmt: skip
    assert node.presence.watched == {bob.user_id, eve.user_id}, "watched before asked, so that nothing falls between"
    watch(node, caller, eve.public_id)
    assert set(node.hub.watchers) == {eve.user_id}
    watch(node, caller)
    assert not node.hub.watchers


def test_who_hides_is_watched_in_vain(node: Any, world: World) -> None:
    ann, bob = world.person(), world.person()
    world.sql("UPDATE users SET shows_presence = false WHERE id = :id", id=bob.user_id)
    (state,) = watch(node, named(ann), bob.public_id)["presence"]
    assert (state["online"], state["lastSeenAt"]) == (False, None)


def test_without_a_session_it_is_refused_and_says_what_is_missing(node: Any, world: World) -> None:
    with pytest.raises(ChatError, match="invalid") as refused:
        watch(node, world.person())
    assert list(refused.value.details) == ["Chat-Session"]
    assert not world.events


def test_more_than_the_setting_allows_are_refused(node: Any, world: World) -> None:
    with pytest.raises(ChatError, match="invalid") as refused:
        watch(node, named(world.person()), *(f"u{place}" for place in range(4)))
    assert refused.value.details == {"userIds": ["Must have at most 3 entries."]}
