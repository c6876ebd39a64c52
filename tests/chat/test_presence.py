"""Presence against a real Redis and a real PostgreSQL: what is told of users, and what is not."""

import logging
import time
from statistics import median

import gevent
import orjson
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import create_engine, text

from chat.directory import Directory
from chat.frames import CONVERSATION, WATCHERS, Event
from chat.launcher.embedded_postgres import Postgres
from chat.launcher.embedded_redis import Redis as RedisServer
from chat.lease_notes import Lengths
from chat.models import Base
from chat.presence import Presence

LENGTHS = Lengths(process=1.0, session=1.6, grace=0.4)
CONFIG = {"REDIS_PREFIX": "p:", "PRESENCE_GRACE": 10}


class Site:
    """A web process with presence, and its database."""

    def __init__(self, url, redis):
        self.engine = create_engine(url, connect_args={"options": "-c lock_timeout=300"})
        Base.metadata.create_all(self.engine)
        self.redis = redis
        self.told = []
        self.running = []

    def presence(self, name="a"):
        run_id = self.redis.info("server")["run_id"]
        boot = {"run": run_id, "since": 0, "heard": time.time_ns() // 1_000_000}  # all was known long ago
        self.redis.hset("p:presence:boot", mapping=boot)
        directory = Directory(self.engine)
        made = Presence(self.redis, CONFIG, name, self.told.extend, directory, self.engine, LENGTHS)
        self.running.append((made, [gevent.spawn(loop) for loop in made.loops.values()]))
        gevent.sleep(0)
        return made

    def ask(self, sql, **values):
        with self.engine.begin() as connection:
            result = connection.execute(text(sql), values)
            return result.first() if result.returns_rows else None

    def person(self, shows=True):
        insert = "INSERT INTO users (public_id, name, shows_presence) VALUES (gen_random_uuid(), 'x', :s) RETURNING id"
        return self.ask(insert, s=shows)[0]

    def name(self, user):
        return self.ask("SELECT public_id FROM users WHERE id = :u", u=user)[0]

    def seen(self, user):
        return self.ask("SELECT last_seen_at FROM users WHERE id = :u", u=user)[0]

    def events(self, user):
        return [orjson.loads(event.raw) for event in self.told if event.target == user]

    def states(self, user):
        return [event["online"] for event in self.events(user)]

    def close(self):
        for presence, greenlets in self.running:
            presence.stop()
            gevent.joinall(greenlets, timeout=5, raise_error=True)
            assert all(greenlet.ready() for greenlet in greenlets), "a loop did not end"
        self.engine.dispose()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis") / "redis", keep=False) as running:
        yield running


@pytest.fixture
def redis(server):
    client = Redis.from_url(server.url, socket_timeout=5, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0))
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def site(database_url, redis):
    made = Site(database_url, redis)
    yield made
    made.close()


def wait_until(holds, seconds=6.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        gevent.sleep(0.005)


def test_coming_is_told_to_those_who_watch(site):
    ann = site.person()
    presence = site.presence()
    presence.enter(ann, "s1")
    wait_until(lambda: site.told)
    (event,) = site.told
    assert (event.name, event.scope, event.target, event.logged, event.change) == ("presence", WATCHERS, ann, False, 0)
    number = event.data["number"]
    assert event.data == {"userId": site.name(ann), "online": True, "lastSeenAt": None, "number": number}
    assert presence.states([ann]) == {ann: (True, number)}


def test_going_is_told_with_the_time_that_is_then_noted(site):
    ann = site.person()
    presence = site.presence()
    presence.enter(ann, "s1")
    wait_until(lambda: site.states(ann) == [True])
    presence.leave(ann, "s1", clean=True)
    wait_until(lambda: site.states(ann) == [True, False])
    came, went = site.events(ann)
    assert went["number"] > came["number"]
    wait_until(lambda: site.seen(ann) is not None)
    assert site.seen(ann).strftime("%Y-%m-%dT%H:%M:%S.%fZ") == went["lastSeenAt"]


def test_coming_and_a_clean_leave_are_told_at_once(site):
    people = [site.person() for _ in range(9)]
    presence = site.presence()
    took = []
    for user in people:
        start = time.monotonic()
        presence.enter(user, f"s{user}")
        wait_until(lambda user=user: site.states(user) == [True])
        took.append(time.monotonic() - start)
    wait_until(lambda: site.redis.zcard("p:presence:turns") == 0)  # what follows is merged with nothing
    for user in people:
        start = time.monotonic()
        presence.leave(user, f"s{user}", clean=True)
        wait_until(lambda user=user: site.states(user) == [True, False])
        took.append(time.monotonic() - start)
    assert median(took) < 0.2


def test_who_is_silent_is_lost_and_who_gives_a_sign_of_life_is_not(site):
    ann, bob = site.person(), site.person()
    presence = site.presence()
    presence.enter(ann, "s1")
    presence.enter(bob, "s2")

    def bob_is_heard_and_ann_gone():
        presence.alive("s2")
        return site.states(ann) == [True, False]

    wait_until(bob_is_heard_and_ann_gone)
    assert site.states(bob) == [True]


def test_nothing_is_told_of_who_does_not_want_to_be_seen_but_it_is_noted(site):
    ann, bob = site.person(shows=False), site.person()
    presence = site.presence()
    for user, session in ((ann, "s1"), (bob, "s2")):
        presence.enter(user, session)
    wait_until(lambda: site.states(bob) == [True])
    presence.leave(ann, "s1", clean=True)
    wait_until(lambda: site.seen(ann) is not None)
    assert site.events(ann) == []


def test_whoever_hides_is_told_as_gone_and_whoever_shows_themselves_again_as_there(site):
    ann = site.person()
    presence = site.presence()
    presence.enter(ann, "s1")
    wait_until(lambda: site.states(ann) == [True])
    for shows in (False, True):
        site.ask("UPDATE users SET shows_presence = :s WHERE id = :u", s=shows, u=ann)
        presence.say_again(ann)
        wait_until(lambda shows=shows: site.states(ann)[-1] is shows)
    hidden, shown = site.events(ann)[1:]
    assert hidden["lastSeenAt"] is None
    assert shown["number"] > hidden["number"]


def test_a_turn_that_did_not_reach_the_others_is_said_again_once_redis_is_trusted(site):
    ann, bob = site.person(), site.person()
    presence = site.presence()
    for user in (ann, bob):
        presence.enter(user, f"s{user}")
        wait_until(lambda user=user: site.states(user) == [True])
    typing = Event("typing", b"{}", CONVERSATION, 7, logged=False)
    presence.unsaid([typing, *(event for event in site.told if event.target == ann)])
    presence.heard_again(0.0)
    wait_until(lambda: site.states(ann) == [True, True])
    presence.heard_again(0.0)
    presence.say_again(bob)
    wait_until(lambda: site.states(bob) == [True, True])
    assert site.states(ann) == [True, True]


def test_what_was_told_while_nothing_was_heard_here_is_told_to_the_sessions_here_alone(site):
    ann, bob = site.person(), site.person(shows=False)
    away, here, heard = site.presence("a"), site.presence("b"), []
    here.deliver = heard.extend
    for user in (ann, bob):
        away.enter(user, f"s{user}")
    wait_until(lambda: site.states(ann) == [True])
    away.leave(ann, f"s{ann}", clean=True)
    wait_until(lambda: site.states(ann) == [True, False])
    here.heard_again(60.0)
    wait_until(lambda: heard)
    (event,) = heard
    went = site.events(ann)[-1]
    assert event.data == went | {"number": event.data["number"]}
    assert event.data["number"] >= went["number"]
    assert site.states(ann) == [True, False]


def test_states_of_many_come_in_one_answer_without_those_who_do_not_exist(site):
    people = [site.person() for _ in range(30)]
    presence = site.presence()
    for user in people[:10]:
        presence.enter(user, f"s{user}")
    wait_until(lambda: len(site.told) == 10)
    states = presence.states([*people, 10**12])
    assert [user for user in people if states[user].online] == people[:10]
    assert states.keys() == set(people)
    number = max(event.data["number"] for event in site.told)
    assert {state.number for state in states.values()} == {number}


def test_entering_costs_no_more_than_a_connect_can_bear(site):
    ann = site.person()
    presence = site.presence()
    presence.enter(ann, "warm")
    start = time.perf_counter()
    for place in range(1_000):
        presence.enter(ann, f"s{place}")
    assert (time.perf_counter() - start) / 1_000 < 50e-6, "20 µs are meant; the rest is for a busy machine"


def test_a_locked_row_holds_up_no_telling(site, caplog):
    ann, bob = site.person(), site.person()
    presence = site.presence()
    presence.enter(ann, "s1")
    presence.enter(bob, "s2")
    wait_until(lambda: len(site.told) == 2)
    with site.engine.begin() as connection, caplog.at_level(logging.CRITICAL, "chat.presence"):
        connection.execute(text("SELECT FROM users WHERE id = :u FOR UPDATE"), {"u": ann})
        presence.leave(ann, "s1", clean=True)
        wait_until(lambda: site.states(ann) == [True, False])
        presence.leave(bob, "s2", clean=True)
        wait_until(lambda: site.states(bob) == [True, False])
    wait_until(lambda: site.seen(ann) and site.seen(bob))


def test_what_happens_while_the_database_is_away_is_told_afterwards(tmp_path, redis):
    with Postgres(tmp_path / "postgresql", keep=False) as server:
        site = Site(server.url, redis)
        ann = site.person()
        presence = site.presence()
        presence._directory.public_ids([ann])
        server.stop()
        presence.enter(ann, "s1")
        wait_until(lambda: presence._turns or redis.exists("p:user:heartbeat:s1"))
        server.start()
        wait_until(lambda: site.states(ann)[-1:] == [True])
        presence.leave(ann, "s1", clean=True)
        wait_until(lambda: site.states(ann)[-1:] == [False])
        site.close()


def test_two_processes_tell_each_turn_once(site):
    people = [site.person() for _ in range(20)]
    a, b = site.presence("a"), site.presence("b")
    for user in people:
        a.enter(user, f"a{user}")
        b.enter(user, f"b{user}")
    wait_until(lambda: len(site.told) == 20)
    for user in people:
        a.leave(user, f"a{user}", clean=True)
        b.leave(user, f"b{user}", clean=False)
    wait_until(lambda: len(site.told) >= 40)
    gevent.sleep(3 * LENGTHS.beat)
    assert all(site.states(user) == [True, False] for user in people)
