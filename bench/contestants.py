"""The servers that are compared, and how each is started for a row."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from bench import machine
from bench.stage import Stage

__all__ = ["CONTESTANTS", "ROOT", "SECRET", "Contestant", "environment", "on_stage"]

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / "peers"
SECRET = "a secret of the benchmark, 32 bytes or more"  # shared with the generator, which mints the tokens
START_SECONDS = 60.0
STOP_SECONDS = 10.0
LAST_WORDS = 4_000  # characters of its log, when something failed
UNLIMITED = "1000000000"  # what a user may send is measured here, not limited


def make_peer_tables(address: str) -> None:
    """The peers' schema."""
    with psycopg.connect(address) as connection:
        connection.execute((PEERS / "schema.sql").read_bytes())


def make_our_tables(address: str) -> None:
    """Ours, by our own migrations."""
    command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    environ = _environment(_for_sqlalchemy(address), "redis://unused")
    subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)


def _for_sqlalchemy(address: str) -> str:
    return address.replace("postgresql:", "postgresql+psycopg:", 1)


@dataclass(frozen=True)
class Contestant:
    """One server. `limits` are settings that lift what would refuse a generator's load."""

    name: str
    label: str
    wire: str
    command: list[str]
    schema: str = "peer"
    make_tables: Callable[[str], None] = make_peer_tables
    environ: dict[str, str] = field(default_factory=dict)


def _node(*flags: str) -> list[str]:
    return [shutil.which("node") or "node", "--max-semi-space-size=32", str(PEERS / "node" / "server.js"), *flags]


def _flask(*flags: str) -> list[str]:
    return [sys.executable, str(PEERS / "flask" / "server.py"), *flags]


_LIMITS = ("MESSAGE_RATE", "MESSAGE_BURST", "COMMAND_RATE", "COMMAND_BURST")
_GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "chat/webserver/settings.py", "wsgi:app"]

CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(
            "us", "this server", "native", _GUNICORN, "ours", make_our_tables,
            {"JWT_AUTO_CREATE": "1", "WORKERS": "1"} | dict.fromkeys(_LIMITS, UNLIMITED),
        ),
        Contestant(
            "us2", "this server, 2 workers", "native", _GUNICORN, "ours", make_our_tables,
            {"JWT_AUTO_CREATE": "1", "WORKERS": "2"} | dict.fromkeys(_LIMITS, UNLIMITED),
        ),
        Contestant("p1b", "Socket.IO, batched inserts", "socketio", _node("--store=batch")),
        Contestant("p1b2", "the same, 2 workers", "socketio", _node("--store=batch", "--workers=2")),
        Contestant("p1l", "the same, unread in one Lua call", "socketio", _node("--store=batch", "--unread=script")),
        Contestant("p1", "Socket.IO", "socketio", _node("--store=single")),
        Contestant("flask", "Flask-SocketIO", "socketio", _flask()),
        Contestant("flask-nodelay", "Flask-SocketIO, TCP_NODELAY", "socketio", _flask("--nodelay")),
    )
}  # fmt: skip


def environment(contestant: Contestant, stage: Stage) -> dict[str, str]:
    """The variables of a contestant's processes."""
    database = _for_sqlalchemy(stage.database) if contestant.schema == "ours" else stage.database
    return _environment(database, stage.redis_url) | contestant.environ


def _environment(database: str, redis: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database, "REDIS_URL": redis, "JWT_SECRET": SECRET, "NODE_ENV": "production"}


@contextmanager
def on_stage(contestant: Contestant, stage: Stage) -> Iterator[tuple[int, int]]:
    """Start the server on its core, with an empty database; give its process id and its port; end it afterwards."""
    stage.clear(contestant.schema, contestant.make_tables)
    port = _free_port()
    environ = environment(contestant, stage) | {"PORT": str(port)}
    path = stage.home / f"{contestant.name}.log"
    with path.open("ab") as log:
        process = subprocess.Popen(
            contestant.command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=lambda: machine.pin(machine.SERVER_CORE),  # noqa: PLW1509 - this process has no threads
        )  # fmt: skip
    try:
        _await_answer(process, port)
        yield process.pid, port
    except Exception as error:
        error.add_note(f"{contestant.label} said last:\n{path.read_text()[-LAST_WORDS:]}")
        raise
    finally:
        _end(process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await_answer(process: subprocess.Popen[bytes], port: int) -> None:
    """Until HTTP is answered: a master may listen long before its worker serves."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
            connection.request("GET", "/readyz")
            answered = connection.getresponse().status < 500
            connection.close()
        except OSError:
            answered = False
        if answered:
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not serve")


def _end(process: subprocess.Popen[bytes]) -> None:
    """By SIGTERM, then by force; its whole process group, so that no worker stays."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
