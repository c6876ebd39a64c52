from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from chat.errors import ChatError
from chat.frames import Caller
from chat.services import accounts, logins
from chat.services.logins import Opened, Reused
from chat.tokens import Claims
from tests.chat.world import NUMBERS, World

SECRET = "a secret of the tests, 32 bytes long"
LATER = datetime.now(UTC) + timedelta(hours=1)


def fresh(name):
    return f"{name}{next(NUMBERS)}"


@pytest.fixture
def world(engine):
    return World(engine, JWT_SECRET=SECRET)


def account(world):
    name = f"login{next(NUMBERS)}"
    return world.do(accounts.register, name, "hash", name)


def device(world, of=None):
    return world.do(logins.open_login, of or account(world), logins.DEVICE, "phone")


def caller(world, login):
    claims = Claims(login.public_id, login.login_id, datetime.now(UTC))
    return world.do(logins.caller_of, claims)


def refusal(function, *arguments, **named):
    with pytest.raises(ChatError) as caught:
        function(*arguments, **named)
    return caught.value.code.name


def test_a_refresh_token_gives_the_next_one_of_the_same_login(world):
    login = device(world)
    for _ in range(3):
        following = world.do(logins.refresh, login.refresh_token)
        assert following[:3] == login[:3]
        assert following.refresh_token != login.refresh_token
        login = following


def test_a_reused_refresh_token_ends_the_login(world):
    login = device(world)
    following = world.do(logins.refresh, login.refresh_token)
    assert world.do(logins.refresh, login.refresh_token) == Reused(login.login_id)
    assert refusal(world.do, logins.refresh, following.refresh_token) == "bad_token"
    assert refusal(caller, world, login) == "bad_token"


def test_the_same_request_again_gets_the_same_answer(world):
    login = device(world)
    first = world.do(logins.refresh, login.refresh_token, "request 1")
    assert world.do(logins.refresh, login.refresh_token, "request 1") == first
    assert isinstance(world.do(logins.refresh, first.refresh_token, "request 2"), Opened)


def test_the_same_request_after_its_answer_was_used_is_a_reuse(world):
    login = device(world)
    first = world.do(logins.refresh, login.refresh_token, "request 1")
    world.do(logins.refresh, first.refresh_token, "request 2")
    assert world.do(logins.refresh, login.refresh_token, "request 1") == Reused(login.login_id)


def test_another_request_with_a_used_token_is_a_reuse(world):
    login = device(world)
    world.do(logins.refresh, login.refresh_token, "request 1")
    assert world.do(logins.refresh, login.refresh_token, "request 2") == Reused(login.login_id)


def test_of_two_refreshes_at_once_one_is_a_reuse(world):
    login = device(world)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: world.do(logins.refresh, login.refresh_token), range(2)))
    assert sorted(type(one).__name__ for one in both) == ["Opened", "Reused"]


def test_a_login_unused_for_refresh_days_is_over(world):
    login = device(world)
    world.sql("UPDATE logins SET expires_at = now() - interval '1 second' WHERE id = :id", id=login.login_id)
    assert refusal(world.do, logins.refresh, login.refresh_token) == "bad_token"
    assert refusal(caller, world, login) == "bad_token"


def test_refreshing_keeps_a_login_alive(world):
    login = device(world)
    world.sql("UPDATE logins SET expires_at = now() + interval '1 minute' WHERE id = :id", id=login.login_id)
    world.do(logins.refresh, login.refresh_token)
    left = world.rows("SELECT expires_at - now() FROM logins WHERE id = :id", id=login.login_id)[0][0]
    assert left > timedelta(days=89)


def test_the_database_holds_no_token(world):
    login = device(world)
    row = world.rows("SELECT logins::text FROM logins WHERE id = :id", id=login.login_id)[0][0]
    assert login.refresh_token.split(".")[2] not in row


def test_a_token_login_has_no_refresh_and_lives_token_days(world):
    login = world.do(logins.open_login, account(world), logins.TOKEN, "bot")
    assert login.refresh_token == ""
    left = world.rows("SELECT expires_at - now() FROM logins WHERE id = :id", id=login.login_id)[0][0]
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_logins_are_listed_and_each_can_be_ended(world):
    of = account(world)
    one, other = device(world, of), device(world, of)
    me = caller(world, one)
    listed = world.do(logins.listed, me)
    assert [(login["id"], login["current"]) for login in listed] == [
        (str(other.login_id), False),
        (str(one.login_id), True),
    ]
    assert world.do(logins.end_login, of.user_id, other.login_id)
    assert not world.do(logins.end_login, of.user_id, other.login_id)
    assert [login["id"] for login in world.do(logins.listed, me)] == [str(one.login_id)]


def test_nobody_ends_the_login_of_another(world):
    login = device(world)
    assert not world.do(logins.end_login, account(world).user_id, login.login_id)
    assert caller(world, login).login_id == login.login_id


def test_beyond_a_hundred_logins_the_one_used_longest_ago_gives_way(world, monkeypatch):
    monkeypatch.setattr(logins, "LIVE", 3)
    of = account(world)
    opened = [device(world, of) for _ in range(3)]
    for age, login in enumerate(opened):
        world.sql(
            "UPDATE logins SET used_at = now() - :age * interval '1 day' WHERE id = :id", age=age, id=login.login_id
        )
    device(world, of)
    assert refusal(caller, world, opened[2]) == "bad_token"
    assert caller(world, opened[0])


def test_a_login_is_noted_as_used_once_an_hour(world):
    login = device(world)
    caller(world, login)
    world.sql("UPDATE logins SET used_at = now() - interval '2 hours' WHERE id = :id", id=login.login_id)
    caller(world, login)
    assert world.rows("SELECT now() - used_at < interval '1 minute' FROM logins WHERE id = :id", id=login.login_id) == [
        (True,)
    ]


def test_a_hosts_token_makes_no_other_tokens(world):
    person = world.person()
    claims = Claims(person.public_id, 0, datetime.now(UTC) + timedelta(hours=1), external_key=f"key{next(NUMBERS)}")
    host = world.do(lambda tx: logins.host_caller(tx, claims, create=False))
    assert refusal(world.do, logins.open_token, host, "x") == "forbidden"
    login = device(world)
    own = Caller(login.user_id, login.public_id, login.login_id)
    assert world.do(logins.open_token, own, "x").login_id != login.login_id


def test_a_hosts_login_lives_as_long_as_its_longest_token(world):
    person = world.person()
    soon = datetime.now(UTC) + timedelta(hours=1)
    claims = Claims(person.public_id, 0, soon, external_key=f"key{next(NUMBERS)}")
    first = world.do(lambda tx: logins.host_caller(tx, claims, create=False))
    later = Claims(person.public_id, 0, soon + timedelta(hours=1), external_key=claims.external_key)
    assert world.do(lambda tx: logins.host_caller(tx, later, create=False)) == first
    assert world.rows("SELECT expires_at FROM logins WHERE id = :id", id=first.login_id) == [(later.expires_at,)]


def test_a_hosts_user_is_made_once_with_a_head_and_keeps_the_first_name(world):
    name = fresh("host")
    seen = [
        world.do(logins.host_caller, Claims(name, 0, LATER, external_key=fresh("k"), name=called), create=True)
        for called in ("Ann", "Bob")
    ]
    assert len({caller.user_id for caller in seen}) == 1
    assert len({caller.login_id for caller in seen}) == 2
    found = "SELECT name, h.change FROM users JOIN user_heads h ON h.user_id = id WHERE public_id = :id"
    assert world.rows(found, id=name) == [("Ann", 0)]


def test_an_unknown_user_is_not_made_unless_told_to(world):
    name = fresh("host")
    claims = Claims(name, 0, LATER, external_key=fresh("k"))
    with pytest.raises(ChatError, match="bad_token"):
        world.do(logins.host_caller, claims, create=False)
    assert not world.rows("SELECT FROM users WHERE public_id = :id", id=name)


def test_tokens_of_a_new_user_that_come_at_once_make_one_user(world):
    name = fresh("host")
    claims = [Claims(name, 0, LATER, external_key=fresh("k")) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda one: world.do(logins.host_caller, one, create=True), claims))
    assert len({caller.user_id for caller in seen}) == 1
    assert len({caller.login_id for caller in seen}) == 8


def test_a_host_token_seen_twice_at_once_is_one_login(world):
    person = world.person()
    claims = Claims(person.public_id, 0, datetime.now(UTC) + timedelta(hours=1), external_key=f"key{next(NUMBERS)}")
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: world.do(lambda tx: logins.host_caller(tx, claims, create=False)), range(8)))
    assert len(set(seen)) == 1


def ticket_of(world, login):
    return world.do(logins.make_ticket, login.login_id)


def test_of_many_who_use_a_ticket_at_once_one_gets_in(world):
    ticket = ticket_of(world, device(world))

    def use(_):
        try:
            return world.do(logins.caller_of_ticket, ticket)
        except ChatError:
            return None

    with ThreadPoolExecutor(8) as pool:
        let_in = [one for one in pool.map(use, range(16)) if one]
    assert len(let_in) == 1


def test_a_ticket_ends_after_its_seconds(world):
    ticket = ticket_of(world, device(world))
    world.sql("UPDATE tickets SET expires_at = now()")
    assert refusal(world.do, logins.caller_of_ticket, ticket) == "bad_token"


def test_a_ticket_ends_with_its_login(world):
    login = device(world)
    ticket = ticket_of(world, login)
    world.do(logins.end_login, login.user_id, login.login_id)
    assert refusal(world.do, logins.caller_of_ticket, ticket) == "bad_token"


@pytest.mark.parametrize("ticket", ["", "x" * 1_000, "\0", "\ud800", "用户"])
def test_odd_tickets_are_bad(world, ticket):
    assert refusal(world.do, logins.caller_of_ticket, ticket) == "bad_token"


def test_unused_tickets_do_not_pile_up(world, monkeypatch):
    monkeypatch.setattr(logins, "SWEPT", 3)
    login = device(world)
    for _ in range(10):
        ticket_of(world, login)
    world.sql("UPDATE tickets SET expires_at = now() - interval '1 second'")
    for _ in range(4):
        ticket_of(world, login)
    assert world.rows("SELECT count(*) FROM tickets WHERE expires_at < now()") == [(0,)]
