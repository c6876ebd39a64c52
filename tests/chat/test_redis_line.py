"""A connection of one greenlet, to a real Redis."""

import secrets
from collections.abc import Iterator

import pytest
from redis import ConnectionError as LostError
from redis import Redis, ResponseError

from chat.redis_line import RedisLine


@pytest.fixture
def line(redis_url: str) -> Iterator[RedisLine]:
    made = RedisLine(Redis.from_url(redis_url), 5.0)
    yield made
    made.close()


@pytest.fixture
def key() -> str:
    return f"t{secrets.token_hex(4)}"


def test_what_is_asked_is_answered_in_order(line: RedisLine, key: str) -> None:
    assert [line.ask("INCR", key) for _ in range(3)] == [1, 2, 3]
    assert line.ask("DEL", key) == 1


def test_a_refusal_is_raised_and_the_line_goes_on(line: RedisLine, key: str) -> None:
    line.ask("SET", key, "no number")
    before = line.ask("CLIENT", "ID")
    with pytest.raises(ResponseError):
        line.ask("INCR", key)
    assert line.ask("CLIENT", "ID") == before
    line.ask("DEL", key)


def test_after_a_loss_the_next_command_goes_over_a_new_connection(line: RedisLine, redis_url: str) -> None:
    number = line.ask("CLIENT", "ID")
    Redis.from_url(redis_url).client_kill_filter(_id=number)
    with pytest.raises(LostError):
        line.ask("PING")
    assert line.ask("CLIENT", "ID") > number


def test_silence_is_nothing_and_what_comes_later_is_heard(redis_url: str, key: str) -> None:
    line, redis = RedisLine(Redis.from_url(redis_url), 0.01), Redis.from_url(redis_url)
    line.say("SUBSCRIBE", key)
    while (told := line.hear()) is None:
        continue
    assert told == [b"subscribe", key.encode(), 1]
    assert line.hear() is None
    redis.publish(key, b"news")
    while (told := line.hear()) is None:
        continue
    assert told == [b"message", key.encode(), b"news"]
    line.close()
