"""`python app.py`: a whole server from nothing, kept running whatever is killed, gone without a trace."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from chat.launcher.embedded_redis import Redis
from chat.launcher.supervisor import DRAIN_SECONDS
from tests.chat.launcher.standin import Running, make_project, remove_project
from tests.chat.processes import DEADLINE, gone, left_of, plain_environ, running, until

PARTS = ("gunicorn", "redis-server", "bin/postgres", "tasks.worker worker", "tasks.worker beat")


def a_project(name: str) -> Iterator[Path]:
    folder = make_project(Path("/tmp") / f"chat-test-{name}-{os.getpid()}")
    yield folder
    left = [process for process in running() if str(folder) in process.command]
    for process in left:
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: left_of(left) == [], "nothing is left")
    remove_project(folder)
    assert left == []


@pytest.fixture
def project() -> Iterator[Path]:
    yield from a_project("project")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server for tests that only harm its parts."""
    for folder in a_project("shared"):
        shared = Running(folder, "--port=0", PATIENCE="25")  # two beats, and what a reconnect takes here
        yield shared
        assert shared.stop() == 0


def test_one_command_starts_everything_and_ctrl_c_ends_it(project: Path) -> None:
    server = Running(project, "--port=0", "--demo")
    state = server.state()
    assert state["starts"] == 1
    assert state["environ"]["PORT"] == str(server.port)
    assert state["environ"]["DATA_DIR"] == str(project / "data" / str(server.port))
    assert state["environ"]["ENVIRONMENT"] == "development"
    assert len(state["environ"]["JWT_SECRET"]) == 64
    assert "log in as ann\n" in server.said
    assert all(server.part(words) for words in PARTS)
    until(lambda: server.state().get("heartbeat"), "Celery's heartbeat")
    start = time.monotonic()
    assert server.stop(signal.SIGINT) == 0
    assert time.monotonic() - start < 10
    assert "Traceback" not in server.said
    assert "Ctrl+C again" not in server.said, "Celery has nothing to say to who stops the whole"


def test_the_next_start_finds_what_the_last_one_kept(project: Path) -> None:
    first = Running(project, "--port=0", "--data-dir=data/kept")
    before = first.state()
    assert first.stop() == 0
    second = Running(project, "--port=0", "--data-dir=data/kept")
    after = second.state()
    assert after["starts"] == 2
    assert after["environ"]["JWT_SECRET"] == before["environ"]["JWT_SECRET"]
    second.stop()


@pytest.mark.parametrize("words", PARTS)
def test_a_part_that_is_killed_is_started_again(server: Running, words: str) -> None:
    for _ in range(2):
        killed = server.part(words)
        family = [process for process in server.tree() if process.parent == killed]
        os.kill(killed, signal.SIGKILL)
        until(lambda killed=killed: server.part(words) not in (0, killed), "another one is there")
        until(lambda family=family: left_of(family) == [], "what it had started is gone")
        until(lambda: server.state().get("starts") == 1, "the server serves")


def test_while_the_web_server_starts_anew_clients_wait_and_are_not_refused(server: Running) -> None:
    killed = server.part("gunicorn")
    family = [process for process in server.tree() if process.parent == killed]
    os.kill(killed, signal.SIGKILL)
    until(lambda: left_of(family) == [], "its worker is gone")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as client:
        client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def beats_again(server: Running, before: str) -> None:
    until(lambda: server.state().get("heartbeat") not in (None, before), "another heartbeat", seconds=60)


def test_celery_works_on_after_its_broker_was_killed_and_flushed(server: Running) -> None:
    before = until(lambda: server.state().get("heartbeat"), "a heartbeat")
    os.kill(server.part("redis-server"), signal.SIGKILL)
    beats_again(server, before)
    with redis.Redis.from_url(server.state()["environ"]["REDIS_URL"]) as client:
        before = server.state()["heartbeat"]
        client.flushall()
    beats_again(server, before)


def test_a_worker_that_hangs_is_started_anew(server: Running) -> None:
    until(lambda: server.state().get("heartbeat"), "a heartbeat")
    hung = server.part("tasks.worker worker")
    os.kill(hung, signal.SIGSTOP)
    until(lambda: gone(hung), "the hung one is gone", seconds=90)
    until(lambda: server.part("tasks.worker worker"), "another one is there")
    assert "Celery gives no sign of life" in server.said


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_heals(project: Path) -> None:
    for number in range(1, 4):
        server = Running(project, "--port=0", "--data-dir=data/healed")
        assert server.state()["starts"] == number
        tree = server.kill()
        if number == 1:  # later ones are started while the old one's parts are still ending
            until(lambda tree=tree: left_of(tree) == [], "all parts have ended")
    until(lambda: left_of(tree) == [], "all parts have ended")


def test_two_servers_run_side_by_side(project: Path) -> None:
    first, second = Running(project, "--port=0"), Running(project, "--port=0", wait=False)
    until(lambda: second._find_port() not in (0, first.port), "the second address is shown")
    secrets = {server.state()["environ"]["JWT_SECRET"] for server in (first, second)}
    assert len(secrets) == 2
    assert first.stop() == 0
    assert second.state()["starts"] == 1
    assert second.stop() == 0


def said_on_failing(project: Path, *flags: str, **environ: str) -> str:
    """Start it, which must fail; return what it said."""
    done = subprocess.run(
        [sys.executable, "app.py", *flags],
        cwd=project, env=plain_environ(**environ), capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


def test_a_taken_port_is_told_in_one_sentence(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = said_on_failing(project, f"--port={port}")
        assert said == f"Cannot listen on 127.0.0.1 port {port}: Address already in use.\n"
    assert not (project / "data").exists()


def test_a_taken_data_directory_is_told_in_one_sentence(project: Path) -> None:
    server = Running(project, "--port=0", "--data-dir=data/taken")
    said = said_on_failing(project, "--port=0", "--data-dir=data/taken")
    assert said == f"Another server (process {server.process.pid}) has the data directory {project}/data/taken.\n"
    server.stop()


def test_a_failed_migration_ends_the_start_and_shows_why(project: Path) -> None:
    said = said_on_failing(project, "--port=0", BREAK_MIGRATIONS="1")
    assert "`flask db upgrade` failed:\n" in said
    assert "LookupError: no such column" in said


def test_a_web_server_that_cannot_start_is_given_up_with_clear_words(project: Path) -> None:
    (project / "wsgi.py").write_text("raise LookupError('broken')\n")
    server = Running(project, "--port=0", wait=False)
    assert server.process.wait(3 * DEADLINE) == 1
    assert "LookupError: broken" in server.said
    assert server.said.endswith("the web server ended 5 times just after its start (exit code 3).\n")


def test_a_store_that_is_given_is_used_and_none_is_started(project: Path, tmp_path: Path) -> None:
    with Redis(tmp_path / "redis") as given:
        server = Running(project, "--port=0", REDIS_URL=given.url, JWT_SECRET="g" * 32)
        environ = server.state()["environ"]
        assert (environ["REDIS_URL"], environ["JWT_SECRET"]) == (given.url, "g" * 32)
        assert not server.part("redis-server")
        assert not (Path(environ["DATA_DIR"]) / "redis").exists()
        server.stop()
        assert given.running


def test_a_data_directory_with_a_long_path_will_do(project: Path) -> None:
    server = Running(project, "--port=0", f"--data-dir=data/{'long' * 40}")
    assert server.state()["starts"] == 1
    runs = [path.resolve() for path in project.glob("data/*/*/run")]
    server.stop()
    assert len(runs) == 2
    for run in runs:
        run.rmdir()


def test_settings_come_from_the_environment_too(project: Path) -> None:
    server = Running(project, PORT="0", WORKERS="2", DATA_DIR="data/named", HOST="127.0.0.1", MEDIA_SECRET="m" * 32)
    assert server.state()["environ"]["DATA_DIR"] == str(project / "data" / "named")
    # So that a command beside the server gives addresses that the server opens.
    assert f"MEDIA_SECRET={'m' * 32}\n" in (project / "data" / "named" / "environment").read_text()
    until(lambda: len([one for one in server.tree() if "gunicorn" in one.command]) == 3, "a master and two workers")
    server.stop()


@pytest.mark.parametrize("wait", [True, False], ids=["while it stops", "before it has begun to stop"])
def test_a_second_signal_ends_everything_at_once(project: Path, wait: bool) -> None:
    server = Running(project, "--port=0")
    tree = server.tree()
    os.kill(server.part("tasks.worker worker"), signal.SIGSTOP)  # it would be waited for
    server.process.terminate()
    if wait:
        until(lambda: "Stopping" in server.said, "it has begun to stop")
    start = time.monotonic()
    server.process.send_signal(signal.SIGINT)  # another one: two of a kind at the same moment are one
    assert server.process.wait(DEADLINE) == 0
    assert time.monotonic() - start < DRAIN_SECONDS
    until(lambda: left_of(tree) == [], "all parts have ended")


def test_it_buries_what_the_kernel_gives_it_as_the_first_process_of_a_container(project: Path) -> None:
    if os.geteuid() != 0:  # only root may make such a container
        return
    server = Running(project, "--port=0", wait=False)
    server.process.terminate()
    server.process.wait(DEADLINE)
    code = "import os, subprocess, sys; sys.argv[0] = 'app.py'; exec(open('app.py').read())"
    inner = subprocess.Popen(
        ["/usr/bin/unshare", "--fork", "--pid", "--mount-proc", "--kill-child", sys.executable, "-c", code, "--port=0"],
        cwd=project, env=plain_environ(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert inner.stdout
    with inner.stdout:
        assert any("Chat is running" in line for line in inner.stdout)
        first = next(one.pid for one in running() if one.parent == inner.pid)
        tree = [one for one in running() if one.parent == first and "gunicorn" in one.command]
        worker = next(one.pid for one in running() if one.parent == tree[0].pid)
        os.kill(tree[0].pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{worker}").exists(), "the orphaned worker is buried")
        os.kill(first, signal.SIGTERM)
        inner.wait(DEADLINE)
