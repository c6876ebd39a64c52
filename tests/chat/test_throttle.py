import pytest
from redis import ConnectionPool, Redis

from chat.errors import ChatError
from chat.launcher.embedded_redis import Redis as PrivateRedis
from chat.throttle import Throttle


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with PrivateRedis(tmp_path_factory.mktemp("throttle"), keep=False) as made:
        yield made


@pytest.fixture
def pool(server):
    made = ConnectionPool.from_url(server.url, socket_timeout=2)
    Redis(connection_pool=made).flushall()
    yield made
    made.disconnect()


@pytest.fixture
def no_redis(tmp_path):
    return ConnectionPool.from_url(f"unix://{tmp_path}/nobody", socket_timeout=1)


def refused_after(throttle, tries, **more):
    """Return how many tries pass before one is refused."""
    for number in range(tries):
        try:
            throttle.check(**({"what": "login", "name_key": "ann", "address": "192.0.2.1"} | more))
        except ChatError as error:
            return {"rate_limited": number}[error.code.name] if 1 <= error.retry_after <= 60 else error
    return tries


def test_tries_of_one_name_are_counted(pool):
    throttle = Throttle(pool, "", 3, 0)
    assert refused_after(throttle, 10) == 3
    assert refused_after(throttle, 3, name_key="bob") == 3
    assert refused_after(throttle, 3, what="register") == 3


def test_tries_of_one_address_are_counted_over_all_names(pool):
    throttle = Throttle(pool, "", 0, 5)
    passed = 0
    for number in range(10):
        passed += refused_after(throttle, 1, name_key=f"name{number}")
    assert passed == 5
    assert refused_after(throttle, 1, address="192.0.2.2") == 1


def test_two_processes_count_together(pool):
    assert refused_after(Throttle(pool, "", 3, 0), 2) == 2
    assert refused_after(Throttle(pool, "", 3, 0), 10) == 1


def test_two_servers_on_one_redis_do_not(pool):
    assert refused_after(Throttle(pool, "a:", 3, 0), 10) == 3
    assert refused_after(Throttle(pool, "b:", 3, 0), 10) == 3


def test_one_household_is_one_address(pool):
    throttle = Throttle(pool, "", 0, 3)
    passed = sum(refused_after(throttle, 1, address=f"2001:db8:1:2::{number:x}") for number in range(10))
    assert passed == 3
    assert refused_after(throttle, 1, address="2001:db8:1:3::1") == 1


def test_without_redis_a_process_counts_alone_and_locks_nobody_out(no_redis):
    throttle = Throttle(no_redis, "", 3, 100)
    assert refused_after(throttle, 10) == 3
    assert refused_after(throttle, 3, name_key="bob") == 3


def test_a_broken_redis_is_no_error(pool):
    Redis(connection_pool=pool).config_set("maxmemory", "1")
    Redis(connection_pool=pool).config_set("maxmemory-policy", "noeviction")
    try:
        assert refused_after(Throttle(pool, "", 3, 0), 10) == 3
    finally:
        Redis(connection_pool=pool).config_set("maxmemory", "0")


def test_no_address_and_no_limit_are_not_counted(pool):
    assert refused_after(Throttle(pool, "", 0, 1), 5, address=None) == 5
    assert refused_after(Throttle(pool, "", 0, 0), 5) == 5


def test_odd_names_are_counted_like_others(pool):
    assert refused_after(Throttle(pool, "", 2, 0), 10, name_key="a/b:{c}\n李" * 20) == 2
