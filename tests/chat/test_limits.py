import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.limits import Buckets, TokenBucket


def test_a_burst_passes_at_once_and_then_the_rate_counts():
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)]
    assert bucket.take(1, 100.5) == 0
    assert bucket.take(1, 100.5) == pytest.approx(0.5)


def test_what_is_refused_costs_nothing():
    bucket = TokenBucket(rate=1, burst=2)
    bucket.take(2, 0.0)
    for _ in range(100):
        assert bucket.take(1, 0.5) == pytest.approx(0.5)
    assert bucket.take(1, 1.0) == 0


def test_a_long_rest_saves_up_one_burst_and_no_more():
    bucket = TokenBucket(rate=10, burst=3)
    bucket.take(3, 0.0)
    assert [bucket.take(1, 1_000.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(1, 1_000.0) > 0


def test_a_cost_beyond_the_bucket_waits_for_a_full_one():
    bucket = TokenBucket(rate=1, burst=5)
    assert bucket.take(100, 0.0) == 0
    assert bucket.take(100, 1.0) == pytest.approx(4)
    assert bucket.take(100, 5.0) == 0


def test_a_rate_of_nothing_is_no_limit():
    bucket = TokenBucket(rate=0, burst=0)
    assert all(bucket.take(10, 0.0) == 0 for _ in range(1_000))


def test_a_bucket_is_small():
    assert not hasattr(TokenBucket(1, 1), "__dict__")


def test_users_do_not_pay_for_each_other():
    buckets = Buckets(rate=1, burst=1)
    assert buckets.take("ann", 1, 0.0) == 0
    assert buckets.take("ann", 1, 0.0) > 0
    assert buckets.take("bob", 1, 0.0) == 0


def test_buckets_that_are_full_again_are_forgotten_bit_by_bit_as_others_come():
    buckets = Buckets(rate=1, burst=2)
    for user in range(100):
        buckets.take(user, 1, 0.0)
    assert len(buckets) == 100
    for step in range(100):
        buckets.take(f"new {step}", 1, 10.0 + 2 * step)
    assert len(buckets) == 1


def test_there_are_never_more_buckets_than_are_kept_and_the_longest_unused_goes_first(monkeypatch):
    monkeypatch.setattr("chat.limits.KEPT", 3)
    buckets = Buckets(rate=1, burst=1)
    for user in "abc":
        buckets.take(user, 1, 0.0)
    assert buckets.take("a", 1, 0.0) > 0
    buckets.take("d", 1, 0.0)
    assert len(buckets) == 3
    assert buckets.take("a", 1, 0.0) > 0, "was used after b"
    assert buckets.take("b", 1, 0.0) == 0, "was forgotten"


rates = st.floats(0.1, 1_000)
bursts = st.floats(1, 1_000)
demands = st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 20)), min_size=1, max_size=80)


@given(rates, bursts, demands)
def test_no_stretch_of_time_yields_more_than_the_burst_and_its_rate(rate, burst, demands):
    bucket = TokenBucket(rate, burst)
    now, taken = 0.0, []
    for pause, cost in demands:
        now += pause
        if bucket.take(cost, now) == 0:
            taken.append((now, min(cost, burst)))
    for first in range(len(taken)):
        total = 0.0
        for moment, cost in taken[first:]:
            total += cost
            assert total <= burst + rate * (moment - taken[first][0]) + 1e-3


@given(rates, bursts, demands)
def test_waiting_as_long_as_told_is_enough_and_no_shorter(rate, burst, demands):
    bucket = TokenBucket(rate, burst)
    now = 0.0
    for pause, cost in demands:
        now += pause
        wait = bucket.take(cost, now)
        if wait:
            assert bucket.take(cost, now + wait / 2) > 0
            now += wait + 1e-6
            assert bucket.take(cost, now) == 0


@given(rates, bursts, st.lists(st.tuples(st.floats(0, 5), st.sampled_from("abc"), st.floats(0.1, 20)), max_size=80))
def test_forgetting_changes_no_answer(rate, burst, demands):
    buckets, kept = Buckets(rate, burst), {key: TokenBucket(rate, burst) for key in "abc"}
    now = 0.0
    for pause, key, cost in demands:
        now += pause
        assert buckets.take(key, cost, now) == pytest.approx(kept[key].take(cost, now))
