"""Last entries are found where they are, and taken only if they are the ones meant."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis

from chat import previews as previews_module
from chat.config import SETTINGS
from chat.media_address import sign_with
from chat.previews import KEY, Address, Previews
from chat.stores import redis_pool

DEAD = {"REDIS_URL": "redis://127.0.0.1:1"}
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
AT_US = 1_700_000_000_000_001
TIME = "2023-11-14T22:13:20.000001Z"


def row(seq: int = 4, change: int = 9, body: str | None = None, content: str = "hi") -> list[Any]:
    return [7, None, None, seq, change, "ann", "local", "text", content, body, AT_US, None, None]


@pytest.fixture
def store(redis_url: str, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made
        for key in made.scan_iter(f"{request.node.name}:*"):
            made.delete(key)


class Finder:
    """Previews, and how often the database was asked."""

    def __init__(self, store: redis.Redis, prefix: str):
        self.trusting = True
        self.previews = Previews(store, DEFAULTS | {"REDIS_PREFIX": prefix}, lambda: self.trusting)
        self.asked = 0
        self.held = row()

    def find(self, address: Address) -> Any:
        found = self.previews.find([address], self._read)
        return {number: orjson.loads(raw) for number, raw in found.items()}

    def _read(self, missing: list[Address]) -> list[list[Any]]:
        self.asked += 1
        return [self.held for address in missing if address.seq == self.held[3]]


@pytest.fixture
def finder(store: redis.Redis, request: pytest.FixtureRequest) -> Finder:
    return Finder(store, f"{request.node.name}:")


def test_the_database_is_asked_once_for_an_address(finder: Finder) -> None:
    first, again = finder.find(Address(7, 9, 4, AT_US)), finder.find(Address(7, 9, 4, AT_US))
    assert first == again
    assert (first[7]["content"], first[7]["createdAt"], finder.asked) == ("hi", TIME, 1)
    finder.held = row(change=10, content="edited")
    assert finder.find(Address(7, 10, 4, AT_US))[7]["content"] == "edited"


def test_what_was_published_is_taken_from_redis(finder: Finder, store: redis.Redis, request: Any) -> None:
    store.set(f"{request.node.name}:{KEY}7", previews_module.line_json(previews_module.kept_line(row())))
    assert finder.find(Address(7, 9, 4, AT_US))[7]["content"] == "hi"
    assert finder.asked == 0


def test_what_was_just_published_is_taken_from_the_log(finder: Finder, store: redis.Redis, request: Any) -> None:
    said = previews_module.line_json(previews_module.kept_line(row()))
    store.xadd(f"{request.node.name}:log:c2:7", {"p": "0", "h": "[]", "d": said})
    assert finder.find(Address(7, 9, 4, AT_US))[7]["content"] == "hi"
    assert finder.asked == 0


def test_what_the_database_told_is_left_for_the_others(finder: Finder, store: redis.Redis, request: Any) -> None:
    finder.find(Address(7, 9, 4, AT_US))
    other = Finder(store, f"{request.node.name}:")
    assert other.find(Address(7, 9, 4, AT_US)) == finder.find(Address(7, 9, 4, AT_US))
    assert other.asked == 0
    assert 0 < store.ttl(f"{request.node.name}:{KEY}7") <= previews_module.KEY_SECONDS


def test_a_long_one_is_not_left_in_redis(finder: Finder, store: redis.Redis, request: Any) -> None:
    finder.held = row(content="x" * 3_000)
    assert len(finder.find(Address(7, 9, 4, AT_US))[7]["content"]) == 3_000
    assert store.get(f"{request.node.name}:{KEY}7") is None


@pytest.mark.parametrize(
    "address",
    [Address(7, 8, 4, AT_US), Address(7, 10, 4, AT_US), Address(7, 9, 3, AT_US), Address(7, 9, 4, AT_US + 1)],
)
def test_another_entry_in_redis_is_not_taken(
    finder: Finder, store: redis.Redis, request: Any, address: Address
) -> None:
    store.set(f"{request.node.name}:{KEY}7", previews_module.line_json(previews_module.kept_line(row(content="other"))))
    finder.held = row(address.seq, address.change, content="meant")
    assert finder.find(address)[7]["content"] == "meant"


@pytest.mark.parametrize("body", [
    '{"metadata":{"seq":4,"change":9,"createdAt":"TIME"}}',
    '{"metadata":{"a":{"seq":4,"change":9,"senderId":"ann","createdAt":"TIME"}}}',
])  # fmt: skip
def test_nothing_that_a_user_wrote_is_taken_for_an_entrys_place(
    finder: Finder, store: redis.Redis, request: Any, body: str
) -> None:
    body = body.replace("TIME", TIME)
    for seq, change, at_us in ((3, 8, AT_US - 1), (3, 9, AT_US), (4, 8, AT_US), (4, 9, AT_US - 1)):
        other = row(seq, change, body)
        other[10] = at_us
        store.set(f"{request.node.name}:{KEY}7", previews_module.line_json(previews_module.kept_line(other)))
        assert finder.previews._from_redis([Address(7, 9, 4, AT_US)]) == {}
    store.set(f"{request.node.name}:{KEY}7", previews_module.line_json(previews_module.kept_line(row(4, 9, body))))
    assert 7 in finder.previews._from_redis([Address(7, 9, 4, AT_US)])


def test_an_entry_that_was_edited_and_recalled_is_found_all_the_same(
    finder: Finder, store: redis.Redis, request: Any
) -> None:
    said = [*row()[:11], AT_US + 5, AT_US + 9]
    store.set(f"{request.node.name}:{KEY}7", previews_module.line_json(previews_module.kept_line(said)))
    assert 7 in finder.previews._from_redis([Address(7, 9, 4, AT_US)])


def test_one_with_media_is_signed_anew(finder: Finder, store: redis.Redis, request: Any, monkeypatch: Any) -> None:
    sign_with({"MEDIA_SECRET": "of this test", "JWT_SECRET": ""})
    body = '{"media":{"id":"%s","kind":"image","url":"/uploads/images/a.png"}}' % ("a" * 32)
    finder.held = row(body=body)
    store.set(f"{request.node.name}:{KEY}7", previews_module.line_json(previews_module.kept_line(finder.held)))
    address = Address(7, 9, 4, AT_US)
    today = finder.find(address)[7]["media"]["url"]
    monkeypatch.setattr("chat.media_address.time.time", lambda: 4e9)
    assert finder.find(address)[7]["media"]["url"] != today
    assert finder.asked == 1  # Redis had it with a signature that may be of another day


def test_what_is_gone_is_left_out(finder: Finder) -> None:
    assert finder.find(Address(7, 9, 5, AT_US)) == {}


def test_without_redis_the_database_is_asked(finder: Finder) -> None:
    finder.previews._redis = redis_pool(DEAD)
    assert finder.find(Address(7, 9, 4, AT_US))[7]["content"] == "hi"
    finder.trusting = False
    assert finder.find(Address(7, 9, 4, AT_US))[7]["content"] == "hi"


def test_memory_is_bounded(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews_module, "MEMORY_BYTES", 1_000)
    for number in range(10):
        finder.held = [number, *row()[1:]]
        finder.find(Address(number, 9, 4, AT_US))
    kept = finder.previews._kept
    assert 0 < len(kept) < 4
    assert finder.previews._bytes == sum(len(line) + previews_module.ROOM for _, line in kept.values()) <= 1_000
