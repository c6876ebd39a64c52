"""Where a private server lives: who may reach it, where its socket is, and what an earlier run left."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.launcher import private_server
from chat.launcher.child import Account
from chat.launcher.embedded_redis import Redis
from chat.launcher.private_server import ServerError, account_for, evict, reachable, settle, socket_folder
from tests.chat.processes import gone, until

NOBODY = Account("nobody", 65534, 65534)
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that every account can reach; pytest's own are for their owner alone."""
    folder = Path("/tmp") / f"chat-test-{os.getpid()}-{tmp_path.name}"
    folder.mkdir(mode=0o711)
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def refuge(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(private_server, "REFUGE", open_folder / "refuge")
    return open_folder / "refuge"


def test_a_plain_user_runs_the_server_itself_and_root_lets_another(tmp_path: Path) -> None:
    account = account_for(tmp_path / "new")
    assert (account is None) == (not AS_ROOT)
    assert account is None or account.uid != 0


def test_root_lets_the_owner_of_an_older_home_go_on(tmp_path: Path) -> None:
    if AS_ROOT:
        os.chown(tmp_path, 65534, 65534)
        assert account_for(tmp_path) == NOBODY
    else:
        assert account_for(tmp_path) is None


def test_who_has_no_name_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999_999)
    with pytest.raises(ServerError, match="has none here"):
        account_for(tmp_path)


def test_a_home_lies_where_it_is_asked_if_that_can_be_reached(open_folder: Path, refuge: Path) -> None:
    account = NOBODY if AS_ROOT else None
    home = settle(open_folder / "a" / "home", account)
    assert home == open_folder / "a" / "home"
    assert home.stat().st_mode & 0o777 == 0o700
    assert not AS_ROOT or home.stat().st_uid == NOBODY.uid
    assert settle(home, account) == home
    assert not refuge.exists()


def test_a_home_that_cannot_be_reached_is_a_link_and_no_mode_of_others_changes(open_folder: Path, refuge: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    if not AS_ROOT:
        assert settle(closed / "home", None) == closed / "home"
        return
    assert not reachable(closed, NOBODY)
    home = settle(closed / "home", NOBODY)
    assert home.parent == refuge
    assert reachable(home, NOBODY)
    assert (closed / "home").is_symlink()
    assert settle(closed / "home", NOBODY) == home
    assert closed.stat().st_mode & 0o777 == 0o700
    (closed / "home").unlink()
    assert settle(closed / "home", NOBODY) != home


def test_what_was_kept_for_a_temporary_place_goes_after_it(open_folder: Path, refuge: Path) -> None:
    if not AS_ROOT:
        return
    homes = []
    for number in range(3):
        closed = open_folder / f"closed{number}"
        closed.mkdir(mode=0o700)
        homes.append(settle(closed / "home", NOBODY))
        if number == 0:
            (homes[0] / "link").write_text("/srv/not/temporary/and/not/mounted/now")
        shutil.rmtree(open_folder / f"closed{number}")
    assert [home.exists() for home in homes] == [True, False, True]


def test_what_another_start_deletes_at_the_same_moment_is_gone_all_the_same(
    open_folder: Path, refuge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = refuge / "home-of-old"
    kept.mkdir(parents=True)
    (kept / "link").write_text(str(open_folder / "gone"))

    def swept_meanwhile(data: Path) -> list[int]:
        shutil.rmtree(data.parent)
        return []

    monkeypatch.setattr(private_server, "_left_behind", swept_meanwhile)
    private_server._sweep_refuge()
    assert not kept.exists()


def test_a_refuge_can_be_reached_whatever_the_umask(open_folder: Path, refuge: Path) -> None:
    before = os.umask(0o077)
    try:
        (open_folder / "closed").mkdir(mode=0o700)
        home = settle(open_folder / "closed" / "home", NOBODY if AS_ROOT else None)
    finally:
        os.umask(before)
    assert reachable(home, NOBODY if AS_ROOT else None)


def test_a_socket_lies_in_the_home_unless_its_path_would_be_too_long(tmp_path: Path) -> None:
    assert socket_folder(tmp_path, "s.sock", None) == tmp_path / "run"
    long = tmp_path / ("x" * 100)
    long.mkdir()
    short = socket_folder(long, "s.sock", None)
    assert len(str(short / "s.sock")) < 107
    assert short.stat().st_mode & 0o777 == 0o700
    assert socket_folder(long, "s.sock", None) == short
    short.rmdir()  # as a cleaner of /tmp does
    other = socket_folder(long, "s.sock", None)
    assert other.is_dir()
    other.rmdir()


def test_what_an_earlier_run_left_is_ended_and_nobody_else(tmp_path: Path) -> None:
    with Redis(tmp_path / "redis") as old:
        shell = subprocess.Popen(["/bin/sleep", "600"], cwd=old.data)
        evict(old.data, signal.SIGTERM)
        assert gone(old.pid)
        old.stop()
        assert shell.poll() is None
        shell.kill()
        shell.wait()


def test_a_hung_server_of_an_earlier_run_is_ended_by_force(tmp_path: Path) -> None:
    with Redis(tmp_path / "redis") as old:
        os.kill(old.pid, signal.SIGSTOP)
        evict(old.data, signal.SIGTERM, seconds=0.2)
        until(lambda: gone(old.pid), "it is gone")


def test_a_second_server_on_the_same_files_takes_the_place_of_the_first(tmp_path: Path) -> None:
    first = Redis(tmp_path / "redis").start()
    with Redis(tmp_path / "redis") as second:
        assert gone(first.pid)
        assert second.is_ready()
    first.stop()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    server = Redis(tmp_path / "redis", memory="nonsense")
    with pytest.raises(ServerError, match=r"(?s)redis does not start:.*argument"):
        server.start()


def test_a_log_that_grew_large_begins_anew(tmp_path: Path) -> None:
    server = Redis(tmp_path / "redis")
    server.log.write_text("x" * 2_000_000)
    with server:
        assert server.log.stat().st_size < 100_000


def test_nothing_stays_of_a_server_that_is_not_to_be_kept(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with Redis(long / "redis", keep=False) as server:
        run = server.run
        assert run.is_dir()
    assert not run.exists()
    assert list(long.iterdir()) == []
