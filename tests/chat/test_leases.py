"""Leases against a real Redis: who comes, who goes, and what Redis forgets. Each `Process` stands for a web process."""

import os
import signal
import time
from collections import Counter

import gevent
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat.launcher.embedded_redis import Redis as RedisServer
from chat.lease_notes import Lengths
from chat.leases import Leases

LENGTHS = Lengths(process=1.0, session=1.6, grace=0.6)
SLOW = LENGTHS._replace(session=60.0)  # no session's lease runs out in a test, and none is renewed


PATIENCE = 5.0  # seconds for what a test asks itself: a wipe and a snapshot wait for the disk
IMPATIENCE = 0.3  # seconds for a web process: a Redis that stands still has to be noticed


def connect(server, seconds):
    return Redis.from_url(
        server.url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0)
    )


class Process:
    """A web process: it keeps its clients alive, and tells every turn it is given (unless it is `mute`)."""

    def __init__(self, redis, name, lengths=LENGTHS, mute=False):
        self.turns = []
        self.mute = mute
        self.clients = []
        self.leases = Leases(redis, "test:", name, self.take, lengths)
        self.go_on()

    def go_on(self):
        self.greenlets = [gevent.spawn(self.leases.loops["leases"]), gevent.spawn(self.hear)]

    def take(self, turns):
        self.turns += turns
        if not self.mute:
            self.leases.told(turns)

    def hear(self):
        while True:
            for session in self.clients:
                self.leases.alive(session)
            gevent.sleep(0.05)

    def enter(self, user, session, alive=True):
        self.leases.enter(user, session)
        if alive:
            self.clients.append(session)

    def lose(self, session):
        self.clients.remove(session)
        self.leases.leave(session, clean=False)

    def leave(self, session):
        self.clients.remove(session)
        self.leases.leave(session, clean=True)

    def kill(self):
        gevent.killall(self.greenlets)

    def said(self, user):
        return [turn.online for turn in self.turns if turn.user == user]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis") / "redis", keep=False) as running:
        yield running


@pytest.fixture
def redis(server):
    if not server.running:
        server.start()
    client = connect(server, PATIENCE)
    client.flushall()
    client.save()  # what a killed Redis comes back with
    yield client
    client.close()


@pytest.fixture
def processes(server, redis):
    client = connect(server, IMPATIENCE)
    made = []

    def make(name, **more):
        made.append(Process(client, name, **more))
        return made[-1]

    yield make
    for process in made:
        process.kill()
    client.close()


@pytest.fixture
def settled(redis):
    """A Redis in which everything was known long ago."""
    run_id = redis.info("server")["run_id"]
    redis.hset("test:presence:boot", mapping={"run": run_id, "since": 0, "heard": time.time_ns() // 1_000_000})


def wait_until(holds, seconds=8.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        gevent.sleep(0.01)


def known(redis, *sessions):
    """Wait until Redis knows these sessions."""
    wait_until(lambda: all(redis.exists(f"test:user:heartbeat:{session}") for session in sessions))


def online(process, *users):
    return [process.leases.states([user])[user].online for user in users]


@pytest.mark.usefixtures("settled")
class TestComingAndGoing:
    def test_a_user_comes_with_the_first_session_and_goes_with_the_last(self, processes):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        wait_until(lambda: a.said("ann") == [True])
        b.enter("ann", "s2")
        wait_until(lambda: b.leases.states(["ann"])["ann"].online)
        a.leave("s1")
        b.enter("bob", "s3")
        wait_until(lambda: b.said("bob") == [True])
        assert a.said("ann") + b.said("ann") == [True]
        wait_until(lambda: not a.leases._noted())
        b.leave("s2")
        wait_until(lambda: a.said("ann") + b.said("ann") == [True, False])
        assert online(a, "ann", "bob") == [False, True]

    def test_a_lost_session_counts_until_its_grace_is_over(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        known(redis, "s1")
        start = time.monotonic()
        a.lose("s1")
        wait_until(lambda: a.said("ann") == [True, False])
        assert 0.5 < time.monotonic() - start < 1.5
        assert a.turns[-1].seen_us < a.turns[-1].number - 500_000, "last seen when lost, not when given up"

    def test_who_is_back_within_the_grace_was_never_gone(self, processes, redis):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        known(redis, "s1")
        a.lose("s1")
        b.enter("ann", "s2")
        known(redis, "s2")
        gevent.sleep(LENGTHS.grace + 2 * LENGTHS.beat)
        assert a.said("ann") + b.said("ann") == [True]

    def test_a_new_session_takes_the_place_of_a_lost_one_and_its_clean_leave_counts_at_once(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        known(redis, "s1")
        a.lose("s1")
        wait_until(lambda: not redis.exists("test:user:heartbeat:s1"))
        a.enter("ann", "s2")
        known(redis, "s2")
        start = time.monotonic()
        a.leave("s2")
        wait_until(lambda: online(a, "ann") == [False])
        assert time.monotonic() - start < LENGTHS.grace / 2

    def test_a_lost_device_keeps_a_user_online_when_another_leaves_for_good(self, processes, redis):
        a = processes("a")
        a.enter("ann", "phone")
        a.enter("ann", "desk")
        known(redis, "phone", "desk")
        a.lose("phone")
        wait_until(lambda: not redis.exists("test:user:heartbeat:phone"))
        a.leave("desk")
        wait_until(lambda: not a.leases._noted() and not redis.exists("test:user:heartbeat:desk"))
        assert online(a, "ann") == [True]
        wait_until(lambda: a.said("ann") == [True, False])

    def test_changing_sessions_at_the_same_moment_is_no_turn(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        known(redis, "s1")
        a.leave("s1")
        a.enter("ann", "s2")
        known(redis, "s2")
        assert a.said("ann") == [True]

    def test_a_session_that_ends_before_redis_heard_of_it_leaves_no_trace(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        a.leave("s1")
        a.enter("bob", "s2")
        known(redis, "s2")
        assert a.said("ann") == []
        assert not redis.exists("test:user:online:ann")

    def test_a_silent_client_is_lost_after_its_lease_and_the_others_are_kept(self, processes):
        a = processes("a")
        a.enter("ann", "s1", alive=False)
        a.enter("bob", "s2")
        start = time.monotonic()
        wait_until(lambda: a.said("ann") == [True, False])
        assert LENGTHS.session < time.monotonic() - start < LENGTHS.session + LENGTHS.grace + 1
        gevent.sleep(LENGTHS.session)
        assert a.said("bob") == [True]

    def test_who_is_heard_again_after_all_is_online_again(self, processes):
        a = processes("a")
        a.enter("ann", "s1", alive=False)
        wait_until(lambda: a.said("ann") == [True, False])
        a.clients.append("s1")
        wait_until(lambda: a.said("ann") == [True, False, True])

    @pytest.mark.parametrize("evicted", ["online", "review"])
    def test_who_is_forgotten_by_an_eviction_comes_back_with_a_sign_of_life_and_still_goes(
        self, processes, redis, evicted
    ):
        one, other = processes("one"), processes("other")
        one.enter("ann", "s1")
        known(redis, "s1")
        redis.delete(f"test:presence:{evicted}")
        wait_until(lambda: redis.exists(f"test:presence:{evicted}") and online(other, "ann") == [True])
        one.lose("s1")
        wait_until(lambda: online(other, "ann") == [False])

    @pytest.mark.parametrize("evicted", [["online"], ["review"], ["online", "review"]])
    def test_an_eviction_while_a_turn_is_young_puts_nobody_offline_who_still_goes_later(
        self, processes, redis, evicted
    ):
        slow = LENGTHS._replace(session=6.0)  # nobody is heard again before the turn is looked at once more
        one, other = processes("one", lengths=slow), processes("other", lengths=slow)
        one.enter("ann", "s1", alive=False)
        known(redis, "s1")
        redis.delete(*(f"test:presence:{key}" for key in evicted))
        wait_until(lambda: redis.zscore("test:presence:turns", "ann") is None)
        assert online(other, "ann") == [True]
        assert one.said("ann") + other.said("ann") == [True]
        one.leases.leave("s1", clean=False)
        wait_until(lambda: False in one.said("ann") + other.said("ann"))

    @pytest.mark.parametrize("clean", [True, False])
    def test_an_eviction_of_the_sessions_puts_nobody_offline_who_has_another_one(self, processes, redis, clean):
        one, other = processes("one"), processes("other")
        one.enter("ann", "s1")
        other.enter("ann", "s2")
        known(redis, "s1", "s2")
        wait_until(lambda: redis.zscore("test:presence:turns", "ann") is None)  # a further turn would be told at once
        redis.delete("test:user:online:ann")
        one.clients.remove("s1")
        one.leases.leave("s1", clean=clean)
        wait_until(lambda: redis.zscore("test:user:online:ann", "s2"))
        assert online(one, "ann") == [True]
        assert one.said("ann") + other.said("ann") == [True]
        other.leave("s2")
        wait_until(lambda: False in one.said("ann") + other.said("ann"))

    def test_after_an_eviction_the_first_device_that_is_heard_again_is_not_taken_for_the_only_one(
        self, processes, redis
    ):
        one, other = processes("one"), processes("other")
        one.enter("ann", "s1")
        other.enter("ann", "s2", alive=False)
        known(redis, "s1", "s2")
        wait_until(lambda: redis.zscore("test:presence:turns", "ann") is None)
        redis.delete("test:user:online:ann")
        wait_until(lambda: redis.zscore("test:user:online:ann", "s1"))
        one.leave("s1")
        other.clients.append("s2")
        wait_until(lambda: redis.zscore("test:user:online:ann", "s2"))
        assert one.said("ann") + other.said("ann") == [True]

    @pytest.mark.parametrize("clean", [True, False])
    def test_who_went_when_the_sessions_were_evicted_goes_without_the_wait_for_a_session(self, processes, redis, clean):
        one, other = processes("one", lengths=SLOW), processes("other", lengths=SLOW)
        one.enter("ann", "s1")
        known(redis, "s1")
        redis.delete("test:user:online:ann")
        one.clients.remove("s1")
        one.leases.leave("s1", clean=clean)
        wait_until(lambda: False in one.said("ann") + other.said("ann"))

    def test_a_process_says_which_sessions_it_holds_of_whom_redis_forgot_them(self, processes, redis):
        one, other = processes("one", lengths=SLOW), processes("other", lengths=SLOW)
        one.enter("ann", "s1")
        other.enter("ann", "s2", alive=False)  # its client is silent
        known(redis, "s1", "s2")
        wait_until(lambda: redis.zscore("test:presence:turns", "ann") is None)
        redis.delete("test:user:online:ann")
        one.leave("s1")
        wait_until(lambda: redis.zscore("test:user:online:ann", "s2"))
        wait_until(lambda: redis.zscore("test:presence:unknown", "ann") is None)
        assert one.said("ann") + other.said("ann") == [True]

    def test_beyond_the_most_that_are_asked_for_the_sessions_are_waited_for(self, processes, redis):
        one, other = processes("one"), processes("other")
        users = [f"u{place}" for place in range(1_200)]
        for user in users:
            one.enter(user, f"a-{user}", alive=False)
            other.enter(user, f"b-{user}")
        known(redis, *(f"{side}-{user}" for side in "ab" for user in users))
        redis.delete(*(f"test:user:online:{user}" for user in users))
        for user in users:
            one.leases.leave(f"a-{user}", clean=True)
        wait_until(lambda: all(redis.zscore(f"test:user:online:{user}", f"b-{user}") for user in users))
        assert not [turn for turn in one.turns + other.turns if not turn.online]

    def test_more_than_one_call_takes_are_brought_in_several(self, processes, monkeypatch):
        monkeypatch.setattr("chat.leases.AT_ONCE", 3)
        a, b = processes("a"), processes("b")
        for place in range(20):
            a.enter(f"u{place}", f"s{place}")
        wait_until(lambda: len(a.turns) == 20)
        a.kill()
        wait_until(lambda: len(b.turns) == 20)
        assert Counter(turn.user for turn in b.turns) == Counter(turn.user for turn in a.turns)


@pytest.mark.usefixtures("settled")
class TestProcesses:
    def test_a_killed_process_takes_its_users_along_and_one_of_the_others_tells_each(self, processes, redis):
        a, b, c = processes("a"), processes("b"), processes("c")
        for place in range(100):
            a.enter(f"u{place}", f"s{place}")
        b.enter("u0", "elsewhere")
        known(redis, *(f"s{place}" for place in range(100)), "elsewhere")
        start = time.monotonic()
        a.kill()
        wait_until(lambda: len(b.turns) + len(c.turns) >= 99)
        assert time.monotonic() - start < LENGTHS.process + LENGTHS.grace + 1
        gevent.sleep(2 * LENGTHS.beat)
        told = Counter(turn.user for turn in b.turns + c.turns if not turn.online)
        assert told == {f"u{place}": 1 for place in range(1, 100)}
        assert not redis.exists("test:presence:sessions:a")

    def test_a_process_that_slept_through_its_lease_says_again_what_it_holds(self, processes, redis):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        known(redis, "s1")
        redis.zadd("test:presence:processes", {"a": 1})
        wait_until(lambda: redis.zscore("test:presence:processes", "a") != 1)
        gevent.sleep(LENGTHS.grace + 2 * LENGTHS.beat)
        assert a.said("ann") + b.said("ann") == [True]
        assert redis.hgetall("test:presence:sessions:a") == {b"s1": b"ann"}

    def test_a_process_that_stops_gives_its_users_time_to_come_back(self, processes, redis):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        a.enter("bob", "s2")
        known(redis, "s1", "s2")
        a.leases.stop()
        b.enter("bob", "s3")
        wait_until(lambda: b.said("ann") == [False])
        assert b.said("bob") == []
        assert redis.zscore("test:presence:processes", "a") is None

    def test_a_turn_that_nobody_reports_as_told_is_given_to_somebody_else(self, processes):
        a = processes("a", mute=True)
        a.enter("ann", "s1")
        wait_until(lambda: a.said("ann") == [True])
        b = processes("b")
        wait_until(lambda: True in b.said("ann") or len(a.turns) > 1)
        again = (b.turns or a.turns)[-1]
        assert again.number > a.turns[0].number

    def test_a_flapping_user_is_told_once_a_second_and_ends_as_they_are(self, processes, redis):
        a, b = processes("a"), processes("b")
        end = time.monotonic() + 2.5
        place = 0
        while time.monotonic() < end:
            process, place = (a, b)[place % 2], place + 1
            process.enter("ann", f"s{place}")
            known(redis, f"s{place}")
            process.leave(f"s{place}")
            wait_until(lambda process=process: not process.leases._noted())
        wait_until(lambda: sorted(a.turns + b.turns, key=lambda turn: turn.number)[-1].online is False)
        assert place > 20
        assert len(a.turns + b.turns) <= 5

    def test_who_turns_again_a_second_later_is_told_at_once_and_not_at_the_next_sweep(self, processes, redis):
        a = processes("a", lengths=Lengths(process=60.0))  # a sweep every twelve seconds
        a.enter("ann", "s1")
        wait_until(lambda: a.said("ann") == [True])
        a.enter("bob", "s2")  # its call also says what was told
        wait_until(lambda: redis.hget("test:presence:told", "ann") == b"1")
        redis.zadd("test:presence:turns", {"ann": 1})  # long ago
        a.leave("s1")
        wait_until(lambda: a.said("ann") == [True, False], seconds=4)

    def test_numbers_rise_over_all_processes(self, processes, redis):
        a, b = processes("a"), processes("b")
        for place in range(10):
            for process in (a, b):
                process.enter(f"{process.leases._process_id}{place}", f"{process.leases._process_id}{place}")
        wait_until(lambda: len(a.turns) == len(b.turns) == 10)
        numbers = [turn.number for turn in a.turns + b.turns]
        assert len(set(numbers)) == 20
        assert a.leases.states(["a1"])["a1"].number == max(numbers)
        redis.flushall()
        a.enter("new", "s1")
        wait_until(lambda: a.said("new") == [True])
        assert a.turns[-1].number > max(numbers)

    def test_a_state_can_be_said_again(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        known(redis, "s1")
        a.leases.say_again("ann")
        wait_until(lambda: len(a.turns) == 2)
        assert a.turns[1].again
        assert a.turns[1].online
        assert a.turns[1].number > a.turns[0].number

    def test_who_turned_lately_is_known_with_the_time_they_were_seen(self, processes, redis):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        wait_until(lambda: a.said("ann") == [True])
        a.enter("a:b", "s2")
        wait_until(lambda: a.said("a:b") == [True])
        a.leave("s1")
        wait_until(lambda: a.said("ann") + b.said("ann") == [True, False])
        gone = (a.turns + b.turns)[-1]
        assert b.leases.recent(60) == {"ann": gone.seen_us, "a:b": next(t.seen_us for t in a.turns if t.user == "a:b")}
        assert b.leases.recent(0) == {}

    def test_of_the_turns_the_last_ten_thousand_are_remembered(self, processes, redis):
        redis.zadd("test:presence:recent", {f"1:u{place}": place for place in range(10_000)})
        a = processes("a")
        a.enter("ann", "s1")
        wait_until(lambda: a.said("ann") == [True])
        assert redis.zcard("test:presence:recent") == 10_000
        assert redis.zrange("test:presence:recent", 0, 0) == [b"1:u1"]


class TestForgetfulRedis:
    def test_who_is_to_be_named_again_before_all_is_known_is_not_told_as_gone(self, processes, redis):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        wait_until(lambda: a.said("ann") == [True])
        a.kill()
        redis.flushall()
        b.leases.say_again("ann")
        wait_until(lambda: redis.zscore("test:presence:turns", "ann") is not None)
        a.go_on()
        wait_until(lambda: len(a.said("ann") + b.said("ann")) == 2)
        assert a.said("ann") + b.said("ann") == [True, True]

    def test_a_wiped_redis_is_told_again_in_silence(self, processes, redis):
        a, b = processes("a"), processes("b")
        for place in range(50):
            (a, b)[place % 2].enter(f"u{place}", f"s{place}")
        wait_until(lambda: len(a.turns) + len(b.turns) == 50)
        redis.flushall()
        wait_until(lambda: redis.scard("test:presence:online") == 50)
        gevent.sleep(LENGTHS.process + LENGTHS.grace + LENGTHS.beat)
        assert len(a.turns) + len(b.turns) == 50
        a.leave("s0")
        wait_until(lambda: a.said("u0") + b.said("u0") == [True, False])

    def test_who_was_lost_when_redis_was_wiped_still_goes(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        a.enter("bob", "s2")
        known(redis, "s1", "s2")
        a.lose("s1")
        wait_until(lambda: not redis.exists("test:user:heartbeat:s1"))
        redis.flushall()
        wait_until(lambda: a.said("ann") == [True, False])
        assert a.said("bob") == [True]

    def test_who_leaves_in_the_moment_of_a_wipe_goes_unless_there_is_another_session(self, processes, redis):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        a.enter("bob", "s2")
        b.enter("bob", "s3")
        known(redis, "s1", "s2", "s3")
        redis.flushall()
        a.leave("s1")
        a.leave("s2")
        wait_until(lambda: False in a.said("ann") + b.said("ann"))
        assert a.said("bob") + b.said("bob") == [True]

    def test_who_is_asked_for_before_all_is_known_is_told_after_all(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        known(redis, "s1")
        b = Leases(redis, "test:", "b", lambda turns: None, LENGTHS)
        redis.flushall()
        state = b.states(["ann", "nobody"])["ann"]
        assert state == (False, 0), "a word older than any other"
        wait_until(lambda: a.said("ann") == [True, True])

    def test_a_redis_restarted_from_an_old_snapshot_makes_nobody_flicker(self, processes, redis, server):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        a.enter("gone", "s2")
        known(redis, "s1", "s2")
        redis.save()
        a.leave("s2")
        b.enter("bob", "s3")
        wait_until(lambda: False in a.said("gone") + b.said("gone"))
        server.kill()
        gevent.sleep(0.5)
        server.start()
        wait_until(lambda: redis.exists("test:user:heartbeat:s3") and online(a, "ann", "bob") == [True, True])
        wait_until(lambda: online(a, "gone") == [False])
        assert a.said("ann") + b.said("ann") == [True]
        assert a.said("bob") + b.said("bob") == [True]

    def test_while_redis_is_away_nobody_waits_and_a_process_knows_its_own(self, processes, redis, server):
        a = processes("a")
        a.enter("ann", "s1")
        known(redis, "s1")
        server.kill()
        start = time.monotonic()
        a.enter("bob", "s2")
        a.lose("s1")
        assert time.monotonic() - start < 0.05
        assert online(a, "ann", "bob") == [False, True]
        server.start()
        wait_until(lambda: a.said("bob") == [True])
        wait_until(lambda: a.said("ann") == [True, False])

    def test_a_redis_that_stood_still_makes_nobody_flicker(self, processes, redis, server):
        a, b = processes("a"), processes("b")
        a.enter("ann", "s1")
        b.enter("bob", "s2")
        known(redis, "s1", "s2")
        os.kill(server.pid, signal.SIGSTOP)
        gevent.sleep(LENGTHS.session + LENGTHS.grace + 0.5)
        os.kill(server.pid, signal.SIGCONT)
        gevent.sleep(LENGTHS.process + LENGTHS.grace + 3 * LENGTHS.beat)
        assert a.said("ann") + b.said("ann") == [True]
        assert a.said("bob") + b.said("bob") == [True]

    def test_everything_in_redis_expires(self, processes, redis):
        a = processes("a")
        a.enter("ann", "s1")
        known(redis, "s1")
        a.leases.states(["nobody"])
        wait_until(lambda: not a.leases._noted())
        for key in redis.scan_iter("*"):
            assert 0 < redis.ttl(key) <= 7 * 86_400, key
