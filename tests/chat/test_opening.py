"""Opening over a real database: many at once by one query, and each is let in, refused, or told to come again."""

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from chat import opening as opening_module
from chat.frames import CONVERSATION, Caller, Event
from chat.hub import Hub
from chat.opening import Opening
from chat.postgres import Lost
from chat.session import State
from chat.sessions import Admitted
from tests.chat.carrier import session_of
from tests.chat.world import World

PATIENCE = 10.0  # seconds


class Door:
    """An opening that runs, who came in, and who did not."""

    def __init__(self, url: str):
        self.hub = Hub(print, print)
        self.opened: dict[Any, Any] = {}
        self.refused: dict[Any, tuple[str, bool]] = {}
        self.opening = Opening(url, self.hub, self.opened.__setitem__, self._refuse)
        self.calls = 0
        run = self.opening._statement.run

        def counted(*parameters: bytes) -> bytes | None:
            self.calls += 1
            return run(*parameters)

        self.opening._statement.run = counted  # type: ignore[method-assign]
        self.loop = gevent.spawn(self.opening.loops["opening"])

    def _refuse(self, session: Any, token: str, away: bool) -> None:
        self.refused[session] = (token, away)

    def ask(self, *named: Admitted) -> list[Any]:
        """Open sessions and wait until it is decided about each."""
        sessions = [session_of(0, live=False) for _ in named]
        for session, one in zip(sessions, named, strict=True):
            session.caller = None
            self.opening.ask(session, one)
        self.wait(sessions)
        return sessions

    def wait(self, sessions: list[Any]) -> None:
        with gevent.Timeout(PATIENCE):
            while not all(session in self.opened or session in self.refused for session in sessions):
                gevent.sleep(0.002)

    def close(self) -> None:
        self.loop.kill()
        self.opening._statement.close()


@pytest.fixture
def door(world: World, database_url: str) -> Iterator[Door]:
    made = Door(database_url)
    yield made
    made.close()


def login(world: World, caller: Caller, *, ends: str = "1 day", key: str | None = None, **more: Any) -> Admitted:
    """Make a login and return whom it admits."""
    rows = world.rows(
        "INSERT INTO logins (user_id, kind, expires_at, external_key) "
        "VALUES (:user, 'x', now() + CAST(:ends AS interval), :key) RETURNING id",
        user=caller.user_id, ends=ends, key=key,
    )  # fmt: skip
    return Admitted(caller.public_id, rows[0][0], **more)


def test_who_has_a_login_comes_in_as_who_they_are(world: World, door: Door) -> None:
    ann = world.person()
    named = login(world, ann)
    (session,) = door.ask(named)
    assert session.caller == Caller(ann.user_id, ann.public_id, named.login_id, session.id)
    assert door.opened[session].gone_us is None
    assert door.hub.sessions == {session.id: session}


def test_a_login_that_has_ended_or_expired_or_is_anothers_is_refused(world: World, door: Door) -> None:
    ann, bob = world.people("Ann", "Bob")
    ended, expired, foreign = login(world, ann), login(world, ann, ends="-1 second"), login(world, bob)
    world.sql("UPDATE logins SET ended_at = now() WHERE id = :id", id=ended.login_id)
    stolen = Admitted(ann.public_id, foreign.login_id)
    nobody = Admitted("nobody at all", ended.login_id)
    sessions = door.ask(ended, expired, stolen, nobody)
    assert [door.refused.get(session) for session in sessions] == [("", False)] * 4
    assert door.hub.sessions == {}


def test_a_host_applications_login_is_found_by_its_key_and_a_new_one_given_back_to_be_made(
    world: World, door: Door
) -> None:
    ann = world.person()
    key = f"key of {ann.public_id}"
    made = login(world, ann, key=key)
    known = Admitted(ann.public_id, 0, key, "token")
    unknown = Admitted(ann.public_id, 0, key + "?", "token")
    sessions = door.ask(known, unknown)
    assert sessions[0].caller.login_id == made.login_id
    assert door.refused == {sessions[1]: ("token", False)}


def test_many_that_come_at_once_are_one_query(world: World, door: Door) -> None:
    named = [login(world, person) for person in world.people(*["Ann"] * 60)]
    sessions = door.ask(*named)
    assert len(door.opened) == len(sessions) == 60
    assert door.calls == 1


def test_the_conversations_of_a_user_are_joined_and_their_peers_paired(world: World, door: Door) -> None:
    ann, bob, cid = world.people("Ann", "Bob", "Cid")
    club, left = world.group(ann, bob), world.group(ann, bob)
    private = world.send_to(ann, cid)
    world.send_to(ann, ann)
    world.leave(left, bob)
    for who in (ann, bob):
        door.ask(login(world, who))
    hub = door.hub
    numbers = {world.number(wire_id) for wire_id in (club, private, f"p{ann.user_id}-{ann.user_id}", left)}
    assert hub.users[ann.user_id].conversations == numbers
    assert hub.users[bob.user_id].conversations == {world.number(club)}
    assert set(hub.watchers.peers) == {cid.user_id}
    assert set(hub.watchers.peers[cid.user_id]) == {ann.user_id}


def test_how_far_the_user_is_behind_is_told(world: World, door: Door) -> None:
    ann, bob = world.people("Ann", "Bob")
    place = world.send_to(ann, bob)
    named = login(world, ann)
    world.sql("UPDATE logins SET gone_at = 'epoch'::timestamptz + interval '5 s' WHERE id = :id", id=named.login_id)
    (session,) = door.ask(named)
    opened = door.opened[session]
    (found,) = opened.places
    assert opened.gone_us == 5_000_000
    assert (found.conversation, found.behind, found.change, found.visible_from) == (world.number(place), True, 1, 0)
    world.move(place, ann, 1)
    (session,) = door.ask(login(world, ann))
    assert not door.opened[session].places[0].behind


def test_who_is_away_from_a_group_hears_nothing_of_it(world: World, door: Door) -> None:
    ann, bob = world.people("Ann", "Bob")
    club = world.group(ann, bob)
    world.sql("UPDATE memberships SET away = true WHERE user_id = :user", user=bob.user_id)
    (session,) = door.ask(login(world, bob))
    assert door.opened[session].places == []
    assert door.hub.audiences.get(world.number(club)) is None


def test_what_is_told_while_the_query_runs_reaches_the_session(world: World, door: Door) -> None:
    ann, bob = world.people("Ann", "Bob")
    place = world.number(world.send_to(ann, bob))
    named = login(world, ann)
    run = door.opening._statement.run

    def slow(*parameters: bytes) -> bytes | None:
        answer = run(*parameters)
        door.hub.offer(Event("message", b"{}", CONVERSATION, place, change=2, seq=2, version=0))
        return answer

    door.opening._statement.run = slow  # type: ignore[method-assign]
    door.opened = Live()
    door.opening._opened = door.opened.__setitem__
    (session,) = door.ask(named)
    gevent.idle()
    assert session.carrier.changes() == [2]


def test_a_conversation_that_begins_while_the_query_runs_is_read_with_the_next(world: World, door: Door) -> None:
    ann, bob = world.people("Ann", "Bob")
    run = door.opening._statement.run
    begun: list[int] = []

    def slow(*parameters: bytes) -> bytes | None:
        answer = run(*parameters)
        if not begun:
            begun.append(world.number(world.send_to(ann, bob)))
            members = (ann.user_id, bob.user_id)
            told = Event("message", b"{}", CONVERSATION, begun[0], change=1, seq=1, members=members, private=True)
            door.hub.offer(told)
        return answer

    door.ask(login(world, ann))  # the conversation opens a room here for her
    door.opening._statement.run = slow  # type: ignore[method-assign]
    (session,) = door.ask(login(world, bob))
    assert [place.conversation for place in door.opened[session].places] == begun
    assert bob.user_id in door.hub.audiences[begun[0]].users


def test_what_others_here_got_while_the_query_ran_is_owed_to_the_session(world: World, door: Door) -> None:
    ann, bob = world.people("Ann", "Bob")
    place = world.number(world.send_to(ann, bob))
    door.ask(login(world, bob))
    run = door.opening._statement.run

    def slow(*parameters: bytes) -> bytes | None:
        answer = run(*parameters)
        door.hub.offer(Event("message", b"{}", CONVERSATION, place, change=2, seq=2, version=0))
        return answer

    world.sql("UPDATE conversation_heads SET touched = 1 WHERE conversation_id = :id", id=place)
    door.opening._statement.run = slow  # type: ignore[method-assign]
    (session,) = door.ask(login(world, ann))
    (found,) = door.opened[session].places
    assert found.change == 2  # a log that ends before cannot tell
    assert found.touched > time.time() / 8 - 2


def test_a_room_that_another_session_opens_is_asked_for_by_those_that_were_not_told_of_it(
    world: World, door: Door
) -> None:
    ann, bob, eve = world.people("Ann", "Bob", "Eve")
    world.send_to(ann, eve)
    door.opened = Live()
    door.opening._opened = door.opened.__setitem__
    (first,) = door.ask(login(world, ann))
    (same,) = door.ask(login(world, ann))
    assert first.carrier.names() == []
    world.send_to(bob, ann)  # and the event is lost, or under way
    (second,) = door.ask(login(world, ann))
    assert [session.carrier.names() for session in (first, same, second)] == [["resync"], ["resync"], []]


class Live(dict[Any, Any]):
    """Turns each session live as it is let in."""

    def __setitem__(self, session: Any, opened: Any) -> None:
        super().__setitem__(session, opened)
        session.state = State.LIVE


def test_a_database_that_is_away_is_waited_for_and_who_waited_long_is_told(
    world: World, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening_module, "GIVE_UP", 0.3)
    named = login(world, world.person())
    run = door.opening._statement.run
    away = [True]

    def sometimes(*parameters: bytes) -> bytes | None:
        if away:
            raise Lost("away")
        return run(*parameters)

    door.opening._statement.run = sometimes  # type: ignore[method-assign]
    (session,) = door.ask(named)
    assert door.refused == {session: ("", True)}
    later = session_of(0, live=False)
    door.opening.ask(later, named)
    gevent.sleep(0.05)
    away.clear()
    door.wait([later])
    assert later in door.opened
    assert door.hub.opening == 0


def test_a_session_that_ended_meanwhile_is_let_alone(world: World, door: Door) -> None:
    named = login(world, world.person())
    gone = session_of(0, live=False)
    door.opening.ask(gone, named)
    gone.state = State.CLOSED
    door.ask(named)
    assert gone not in door.opened
    assert gone.id not in door.hub.sessions
