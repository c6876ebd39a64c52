import subprocess
import sys
import textwrap
import time
from datetime import timedelta

import jwt
import pytest
from sqlalchemy import event
from werkzeug.datastructures import Headers

from chat import auth
from chat.auth import Passwords
from chat.config import load
from chat.errors import ChatError
from chat.launcher.embedded_redis import Redis as PrivateRedis
from chat.services import accounts, logins
from tests.chat.door import NO_LIMITS, SECRET, Desk
from tests.chat.world import NUMBERS

HOST = {"Host": "chat.example"}


@pytest.fixture
def desk(engine, redis_url):
    return made(engine, redis_url)


def made(engine, redis_url, **settings):
    given = {"DATABASE_URL": "x", "REDIS_URL": redis_url, "JWT_SECRET": SECRET} | NO_LIMITS | settings
    return Desk(engine, load(given, environ={}))


def opened(desk, kind=logins.DEVICE):
    """Make a user with a login."""
    name = f"auth{next(NUMBERS)}"

    def work(tx):
        return logins.open_login(tx, accounts.register(tx, name, "hash", name), kind, "")

    return desk.auth._in_transaction(work)


def token_of(desk, login, life=timedelta(minutes=5)):
    return desk.auth.tokens.make(login.public_id, login.login_id, life)


def refusal(function, *arguments):
    with pytest.raises(ChatError) as caught:
        function(*arguments)
    return caught.value.code.name


class TestTokenOf:
    def of(self, desk, headers=None, cookies=None, query=None):
        try:
            return desk.auth.token_of(Headers(HOST | (headers or {})), cookies or {}, query or {})
        except ChatError as error:
            return error.code.name

    @pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER   abc ", " Bearer abc"])
    def test_the_header_counts(self, desk, header):
        assert self.of(desk, {"Authorization": header}) == "abc"

    @pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer null", "Bearer undefined", "Basic abc", "abc"])
    def test_empty_and_null_are_none(self, desk, header):
        assert self.of(desk, {"Authorization": header}) == "not_authenticated"

    def test_the_header_comes_before_the_cookie(self, desk):
        cookies = {"chat_session": "cookie"}
        assert self.of(desk, {"Authorization": "Bearer abc"}, cookies) == "abc"
        assert self.of(desk, {"Authorization": "Bearer null"}, cookies) == "cookie"
        assert self.of(desk, cookies=cookies) == "cookie"

    def test_the_cookie_counts_from_the_own_origin_and_from_named_ones(self, engine, redis_url):
        desk = made(engine, redis_url, CORS_ORIGINS=("https://app.example", "https://*.example.org"))
        cookies = {"chat_session": "cookie"}
        for origin in ("https://chat.example", "https://app.example"):
            assert self.of(desk, {"Origin": origin}, cookies) == "cookie"
        for origin in ("https://a.example.org", "https://evil.example", "null"):
            assert self.of(desk, {"Origin": origin}, cookies) == "not_authenticated"

    def test_the_query_counts_by_setting_only(self, engine, redis_url, desk):
        assert self.of(desk, query={"token": "abc"}) == "not_authenticated"
        assert self.of(made(engine, redis_url, TOKEN_IN_QUERY=True), query={"token": "abc"}) == "abc"


class TestAuthenticate:
    def test_a_token_gives_its_caller(self, desk):
        login = opened(desk)
        caller = desk.auth.authenticate(token_of(desk, login))
        assert (caller.user_id, caller.public_id, caller.login_id) == login[:3]

    def test_the_database_is_asked_once_in_five_seconds(self, desk, world, monkeypatch):
        token = token_of(desk, opened(desk))
        with world.counted() as statements:
            for _ in range(10):
                desk.auth.authenticate(token)
        assert len(statements) == 1
        pass_time(monkeypatch, 6)
        with world.counted() as statements:
            desk.auth.authenticate(token)
        assert len(statements) == 1

    @pytest.mark.parametrize(("unwatched", "later", "asked"), [(5, 6, 0), (5, 59, 0), (5, 61, 1), (9, 4, 0), (9, 6, 1)])
    def test_while_the_ends_of_logins_are_watched_for_the_database_is_asked_once_a_minute(
        self, desk, world, monkeypatch, unwatched, later, asked
    ):
        authority = auth.Auth(desk, lambda: unwatched)
        token = token_of(desk, opened(desk))
        authority.authenticate(token)
        pass_time(monkeypatch, later)
        assert (authority.believed(f"Bearer {token}") is None) == bool(asked)
        with world.counted() as statements:
            authority.authenticate(token)
        assert len(statements) == asked

    def test_an_ended_login_is_forgotten_at_once_here(self, desk):
        login = opened(desk)
        token = token_of(desk, login)
        desk.auth.authenticate(token)
        assert desk.auth._in_transaction(lambda tx: logins.end_login(tx, login.user_id, login.login_id))
        desk.auth.forget(login.login_id)
        assert refusal(desk.auth.authenticate, token) == "bad_token"

    def test_an_ended_login_is_known_elsewhere_within_ten_seconds(self, desk, engine, redis_url, monkeypatch):
        elsewhere = made(engine, redis_url)
        login = opened(desk)
        token = token_of(desk, login)
        elsewhere.auth.authenticate(token)
        desk.auth._in_transaction(lambda tx: logins.end_login(tx, login.user_id, login.login_id))
        pass_time(monkeypatch, 10)
        assert refusal(elsewhere.auth.authenticate, token) == "bad_token"

    def test_an_answer_from_before_the_end_is_not_believed_after_it(self, desk, monkeypatch):
        login = opened(desk)
        token = token_of(desk, login)
        asked = desk.auth._in_transaction

        def end_meanwhile(work):
            answer = asked(work)
            asked(lambda tx: logins.end_login(tx, login.user_id, login.login_id))
            desk.auth.forget(login.login_id)
            return answer

        monkeypatch.setattr(desk.auth, "_in_transaction", end_meanwhile)
        desk.auth.authenticate(token)
        monkeypatch.setattr(desk.auth, "_in_transaction", asked)
        assert refusal(desk.auth.authenticate, token) == "bad_token"

    def test_a_token_is_not_believed_beyond_its_end(self, desk, monkeypatch):
        token = token_of(desk, opened(desk), timedelta(seconds=2 - desk.config["JWT_LEEWAY"]))
        desk.auth.authenticate(token)
        pass_time(monkeypatch, 3)
        asked = []
        monkeypatch.setattr(desk.auth.tokens, "read", lambda text: asked.append(text) or refuse())
        assert refusal(desk.auth.authenticate, token) == "bad_token"
        assert asked == [token]

    def test_a_login_of_another_user_does_not_fit(self, desk):
        one, other = opened(desk), opened(desk)
        token = desk.auth.tokens.make(one.public_id, other.login_id, timedelta(minutes=5))
        assert refusal(desk.auth.authenticate, token) == "bad_token"

    def test_callers_are_kept_up_to_a_bound(self, desk, monkeypatch):
        monkeypatch.setattr(auth, "KEPT", 3)
        login = opened(desk)
        for minutes in range(1, 10):
            desk.auth.authenticate(token_of(desk, login, timedelta(minutes=minutes)))
        assert len(desk.auth._kept) == 3

    @pytest.mark.parametrize("token", ["用户token", "\ud800", "\0", "a.b.c", "x" * 10_000])
    def test_odd_tokens_are_bad_tokens(self, desk, token):
        assert refusal(desk.auth.authenticate, token) == "bad_token"


def pass_time(monkeypatch, seconds):
    monkeypatch.setattr(auth, "time", lambda: time.time() + seconds)
    monkeypatch.setattr(auth, "monotonic", lambda: time.monotonic() + seconds)


def refuse():
    raise ChatError("bad_token")


class TestHostTokens:
    def host_token(self, user, **claims):
        return jwt.encode({"sub": user, "exp": int(time.time()) + 600} | claims, SECRET, "HS256")

    def test_an_unknown_user_is_refused_unless_made_at_first_sight(self, desk, engine, redis_url, world):
        name = f"host{next(NUMBERS)}"
        token = self.host_token(name, name="Ann\n Lee", avatar="https://x.example/a.png")
        assert refusal(desk.auth.authenticate, token) == "bad_token"
        making = made(engine, redis_url, JWT_AUTO_CREATE=True)
        caller = making.auth.authenticate(token)
        assert caller.public_id == name
        row = world.rows("SELECT name, avatar, username FROM users WHERE id = :id", id=caller.user_id)[0]
        assert tuple(row) == ("Ann Lee", "https://x.example/a.png", None)
        assert world.rows("SELECT change FROM user_heads WHERE user_id = :id", id=caller.user_id)[0][0] == 0
        assert desk.auth.authenticate(token) == caller

    def test_a_known_user_comes_in_without_being_made(self, desk, world):
        ann = world.person()
        assert desk.auth.authenticate(self.host_token(ann.public_id)).user_id == ann.user_id

    def test_one_token_is_one_login_and_another_is_another(self, desk, world):
        ann = world.person()
        one = desk.auth.authenticate(self.host_token(ann.public_id, jti="1"))
        assert desk.auth.authenticate(self.host_token(ann.public_id, jti="1", name="x")).login_id == one.login_id
        assert desk.auth.authenticate(self.host_token(ann.public_id, jti="2")).login_id != one.login_id
        assert desk.auth.authenticate(self.host_token(ann.public_id)).login_id != one.login_id

    def test_one_jti_of_two_users_is_two_logins(self, desk, world):
        ann, bob = world.people("Ann", "Bob")
        for person in (ann, bob):
            caller = desk.auth.authenticate(self.host_token(person.public_id, jti="same"))
            assert caller.user_id == person.user_id

    def test_a_hosts_login_that_was_ended_here_stays_ended(self, desk, world):
        ann = world.person()
        token = self.host_token(ann.public_id, jti="1")
        caller = desk.auth.authenticate(token)
        desk.auth._in_transaction(lambda tx: logins.end_login(tx, caller.user_id, caller.login_id))
        desk.auth.forget(caller.login_id)
        assert refusal(desk.auth.authenticate, token) == "bad_token"
        assert refusal(desk.auth.authenticate, self.host_token(ann.public_id, jti="1", name="x")) == "bad_token"

    def test_many_are_made_in_one_commit_and_each_has_its_own_answer(self, desk, world):
        ann, bob = world.people("Ann", "Bob")
        tokens = [self.host_token(bob.public_id), "nonsense", self.host_token("nobody"), self.host_token(ann.public_id)]
        commits: list[object] = []
        note = commits.append
        event.listen(desk.engine, "commit", note)
        one, bad, unknown, other = desk.auth.authenticate_all(tokens)
        event.remove(desk.engine, "commit", note)
        assert len(commits) == 1
        assert (one.user_id, other.user_id) == (bob.user_id, ann.user_id)
        assert (bad.code.name, unknown.code.name) == ("bad_token", "bad_token")
        assert desk.auth.authenticate(tokens[0]) == one

    def test_a_name_of_nothing_visible_becomes_the_id(self, engine, redis_url, world):
        name = f"host{next(NUMBERS)}"
        token = self.host_token(name, name="\u202e\n", avatar="javascript:alert(1)")
        caller = made(engine, redis_url, JWT_AUTO_CREATE=True).auth.authenticate(token)
        assert tuple(world.rows("SELECT name, avatar FROM users WHERE id = :id", id=caller.user_id)[0]) == (name, None)


class TestTickets:
    def test_a_ticket_works_once(self, desk):
        login = opened(desk)
        ticket = desk.auth._in_transaction(lambda tx: logins.make_ticket(tx, login.login_id))
        assert desk.auth.caller_of_ticket(ticket).login_id == login.login_id
        assert refusal(desk.auth.caller_of_ticket, ticket) == "bad_token"

    def test_a_wiped_redis_lets_no_ticket_be_used_twice(self, engine, tmp_path):
        with PrivateRedis(tmp_path, keep=False) as server:
            self.wipe_between(made(engine, server.url))

    def wipe_between(self, desk):
        login = opened(desk)
        used, fresh = (desk.auth._in_transaction(lambda tx: logins.make_ticket(tx, login.login_id)) for _ in range(2))
        desk.auth.caller_of_ticket(used)
        desk.redis.flushall()
        assert refusal(desk.auth.caller_of_ticket, used) == "bad_token"
        assert desk.auth.caller_of_ticket(fresh).login_id == login.login_id


class TestPasswords:
    def test_only_the_right_password_matches(self):
        passwords = Passwords()
        made = passwords.hash("correct horse")
        assert made.startswith("$argon2id$")
        assert passwords.match(made, "correct horse")
        assert not passwords.match(made, "wrong horse")

    def test_nobody_has_a_password(self):
        assert not Passwords().match(None, "")
        assert not Passwords().match("no hash", "x")

    def test_an_unknown_name_costs_what_a_wrong_password_costs(self):
        nobody, fresh = auth.HASHER, auth.NOBODY
        assert not nobody.check_needs_rehash(fresh)

    def test_a_hash_with_other_parameters_is_renewed(self):
        passwords = Passwords()
        old = auth.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse")
        assert passwords.match(passwords.renewed(old, "correct horse"), "correct horse")
        assert passwords.renewed(passwords.hash("correct horse"), "correct horse") == ""

    def test_the_line_of_waiting_passwords_is_bounded(self):
        said = served("""
            auth.WAITING = 3
            passwords = Passwords()

            def answer():
                try:
                    return passwords.hash("correct horse")[:9]
                except ChatError as error:
                    return error.code.name

            running = [gevent.spawn(answer) for _ in range(5)]
            gevent.joinall(running)
            print(*sorted(one.value for one in running), passwords.match(passwords.hash("again"), "again"))
        """)
        assert said == "$argon2id $argon2id $argon2id overloaded overloaded True"

    def test_the_event_loop_goes_on_while_passwords_are_hashed(self):
        said = served("""
            passwords = Passwords()
            work = [gevent.spawn(passwords.hash, "correct horse") for _ in range(6)]
            turns, longest, last = 0, 0.0, time.monotonic()
            while not all(one.ready() for one in work):
                gevent.sleep(0.001)
                now = time.monotonic()
                turns, longest, last = turns + 1, max(longest, now - last), now
            print(turns > 10, longest < 0.5)
        """)
        assert said == "True True"


def served(program):
    """Run a program as the web server would, patched, and return what it prints."""
    head = "from gevent import monkey; monkey.patch_all()\nimport gevent, time\n"
    imports = "from chat import auth\nfrom chat.auth import Passwords\nfrom chat.errors import ChatError\n"
    done = subprocess.run(
        [sys.executable, "-c", head + imports + textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
