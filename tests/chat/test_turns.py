"""What becomes of turns: told never against a user's wish, noted never backwards."""

from sqlalchemy import Engine

from chat.frames import Caller
from chat.lease_notes import Turn
from chat.turns import events_of, note_seen, who
from tests.chat.world import World

US = 1_700_000_000_000_000  # some moment, in microseconds


def told(engine: Engine, turn: Turn) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [event.data for event in events_of(who(connection, [turn.user]), {turn.user: turn})]


def turn(user: Caller, *, online: bool, again: bool = False) -> Turn:
    return Turn(user.public_id, online, 7, US, again)


def hide(world: World, user: Caller) -> None:
    world.sql("UPDATE users SET shows_presence = false WHERE id = :id", id=user.user_id)


def test_who_came_and_who_went_is_told(world: World, engine: Engine) -> None:
    ann = world.person()
    mine = {"userId": ann.public_id, "number": 7}
    assert told(engine, turn(ann, online=True)) == [{**mine, "online": True, "lastSeenAt": None}]
    assert told(engine, turn(ann, online=False)) == [
        {**mine, "online": False, "lastSeenAt": "2023-11-14T22:13:20.000000Z"}
    ]


def test_who_does_not_want_to_be_seen_is_not_told_of_but_to_take_back_what_was(world: World, engine: Engine) -> None:
    ann = world.person()
    hide(world, ann)
    assert told(engine, turn(ann, online=True)) == []
    (event,) = told(engine, turn(ann, online=True, again=True))
    assert (event["online"], event["lastSeenAt"]) == (False, None)


def test_who_does_not_exist_is_not_told_of(engine: Engine) -> None:
    assert told(engine, Turn("nobody", True, 1, US, False)) == []


def test_the_later_of_two_moments_is_kept(world: World, engine: Engine) -> None:
    ann = world.person()
    for moment in (US, US - 5_000_000, US + 1_000_000):
        with engine.begin() as connection:
            note_seen(connection, {ann.user_id: moment})
    ((seen,),) = world.rows("SELECT last_seen_at FROM users WHERE id = :id", id=ann.user_id)
    assert int(seen.timestamp()) == 1_700_000_001
