"""`python app.py`: a whole server on one machine, from nothing. Starts the parts, keeps them, stops them, in order.

A plain process: nothing is patched, nothing is served here, one thread. Parts whose address is in the environment
(DATABASE_URL, REDIS_URL, CELERY_BROKER_URL) are used as they are; the others are embedded. The parts write their
warnings and errors to the same terminal, but for PostgreSQL and Redis, who say much that nobody asked: their logs lie
in their homes, and the end of it is shown when they do not start.
"""

import argparse
import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from chat.launcher.child import PROJECT, Child, Program, can_tie, stop_all
from chat.launcher.datadir import DataDir, DataDirError
from chat.launcher.embedded_postgres import Postgres
from chat.launcher.embedded_redis import MEMORY, Redis
from chat.launcher.heartbeat import Heartbeat
from chat.launcher.private_server import REFUGE, PrivateServer, ServerError
from chat.launcher.restart import GiveUpError, Restarts

__all__ = ["Supervisor", "main"]

TICK_SECONDS = 1.0  # between two looks at heartbeat and readiness; a child's end is noticed at once
DRAIN_SECONDS = 9.0  # for web server and Celery to finish what they do: a second more than gunicorn gives its workers
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SECRETS = ("JWT_SECRET", "MEDIA_SECRET")  # commands beside the server sign with them as it does
TOLD = ("ENVIRONMENT", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "REDIS_PREFIX", "DATA_DIR", *SECRETS)
HINT_SECONDS = 15.0  # without readiness after which a person wants to know why
BACKLOG = 2048  # connections that wait while the web server starts anew: everybody comes back at once


class StartError(Exception):
    """The server cannot be started; the text says why to a person."""


class Told(BaseException):
    """A signal told this process to end. A BaseException, so that nothing on the way takes it for a fault."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the server until it is told to end. Exits with 0 then, with 1 if it cannot start or cannot go on."""
    options = _options(argv)
    try:
        Supervisor(options).run()
    except (StartError, DataDirError, ServerError, GiveUpError) as error:
        _say(str(error))
        sys.exit(1)
    sys.exit(0)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python app.py", description="Run a whole chat server on this machine.")
    env = os.environ.get
    parser.add_argument("--host", default=env("HOST", "127.0.0.1"), help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=env("PORT", "5000"), help="port, 0 for any (%(default)s)")
    parser.add_argument("--data-dir", default=env("DATA_DIR", ""), help="where everything is kept (data/<port>)")
    parser.add_argument("--workers", type=int, default=env("WORKERS", "1"), help="web processes (%(default)s)")
    parser.add_argument("--demo", action="store_true", help="fill in a few users, groups and messages")
    return parser.parse_args(argv)


def _say(text: str) -> None:
    with suppress(OSError):  # a terminal that is gone is no reason to stop
        print(text, file=sys.stderr, flush=True)


def _listen(host: str, port: int) -> socket.socket:
    """Open the listener before anything is started: a taken port shows at once, and ours stays open over restarts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(f"Cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}.") from error


class Supervisor:
    """The parts of one server, in the order of their start. `run()` does it all."""

    def __init__(self, options: argparse.Namespace):
        self._options = options
        self._listener = _listen(options.host, options.port)
        self.port: int = self._listener.getsockname()[1]
        self._data = DataDir(options.data_dir, self.port)
        self._environ = dict(os.environ)
        self._stores: list[PrivateServer] = []
        self._workers: list[Child] = []
        self._restarts: dict[str, Restarts] = {}
        self._due: dict[str, float] = {}
        self._celery: list[Child] = []
        self._heartbeat: Heartbeat
        self._ready = False
        self._hint_at = time.monotonic() + HINT_SECONDS

    def run(self) -> None:
        """Start everything, keep it running until a signal tells to end, then stop everything."""
        self._data.lock()
        woken = _catch_signals(self._hurry)
        try:
            self._start()
            while True:
                self._tend()
                select.select([woken], [], [], TICK_SECONDS)
                with suppress(BlockingIOError):
                    os.read(woken, 4096)
        except Told:
            _say("Stopping …")
        finally:
            self._stop()

    # The start.

    def _start(self) -> None:
        if not can_tie():
            _say("This system does not end children with their parent: after a `kill -9` of this, end them by hand.")
        self._set_environ()
        self._open_stores()
        self._flask("db", "upgrade")
        if self._options.demo:
            print(self._flask("demo"), flush=True)
        self._heartbeat = Heartbeat(self._environ["REDIS_URL"], self._environ.get("REDIS_PREFIX", ""))
        self._celery = [self._celery_part("worker"), self._celery_part("beat")]
        self._workers = [self._web(), *self._celery]
        for child in self._workers:
            self._restarts[child.name] = Restarts(child.name, vital=child not in self._celery)
            self._launch(child)

    def _set_environ(self) -> None:
        options = self._options
        given = {"HOST": options.host, "PORT": self.port, "WORKERS": options.workers, "DATA_DIR": self._data.path}
        self._environ.update({name: str(value) for name, value in given.items()})
        if options.host in LOOPBACK:  # reachable from this machine alone: whoever develops a frontend here may call
            self._environ.setdefault("ENVIRONMENT", "development")
        if not self._environ.get("JWT_SECRET"):
            self._environ["JWT_SECRET"] = self._data.secret("jwt-secret")

    def _open_stores(self) -> None:
        """Start the embedded servers that the environment does not replace, both at once, and wait for them."""
        stores: dict[str, PrivateServer] = {}
        if not self._environ.get("DATABASE_URL"):
            stores["DATABASE_URL"] = postgres = Postgres(self._data.path / "postgresql")
            if postgres.moved or postgres.binaries.is_relative_to(REFUGE):
                account = postgres.account and postgres.account.name
                _say(f"PostgreSQL runs as {account}, who cannot reach all it needs here; that is in {REFUGE} instead.")
        if not self._environ.get("REDIS_URL"):
            memory = self._environ.get("REDIS_MAXMEMORY", MEMORY)
            stores["REDIS_URL"] = Redis(self._data.path / "redis", memory=memory)
        self._stores = list(stores.values())
        for store in self._stores:
            self._restarts[store.name] = Restarts(store.name)
            self._restarts[store.name].started(time.monotonic())
            store.launch()
        for name, store in stores.items():
            store.wait_ready()
            self._environ[name] = store.url
        self._data.tell({name: self._environ[name] for name in TOLD if name in self._environ})

    def _flask(self, *command: str) -> str:
        """Run a command of the application to its end; return what it printed, or raise StartError with that."""
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "flask", "--app", "app", *command], cwd=PROJECT, env=self._environ, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise StartError(f"`flask {' '.join(command)}` failed:\n{done.stderr.strip()}\n{done.stdout.strip()}")
        return done.stdout.strip()

    def _web(self) -> Child:
        listener = self._listener.fileno()
        argv = [sys.executable, "-m", "gunicorn", "-c", "chat/webserver/settings.py", "wsgi:app"]
        environ = {**self._environ, "CHAT_LISTEN_FD": str(listener)}
        return Child("the web server", Program(argv, environ=environ, pass_fds=[listener]))

    def _celery_part(self, role: str) -> Child:
        flags = {
            "worker": ["--pool=prefork", "--concurrency=2", "--without-gossip", "--without-mingle"],
            # A process of its own, which is started anew if it is killed; a part of the worker would not be.
            "beat": ["--pidfile="],
        }[role]
        argv = [sys.executable, "-m", "celery", "-q", "-A", "tasks.worker", role, "--loglevel=WARNING", *flags]
        # SIGTERM would wait for tasks however long they take; this puts back into the queue what takes too long.
        stop = signal.SIGQUIT if role == "worker" else signal.SIGTERM
        # Its log goes to stderr. On stdout it asks for a second Ctrl+C at each stop, which would be bad advice.
        return Child(f"Celery's {role}", Program(argv, environ=self._environ, stop=stop, mute=True))

    # Keeping it running.

    def _launch(self, child: Child) -> None:
        self._restarts[child.name].started(time.monotonic())
        if child in self._celery:
            self._heartbeat.expect(time.monotonic())
        child.start()

    def _tend(self) -> None:
        """Start again what has ended, stores first; look at heartbeat and readiness."""
        for child in [*self._stores, *self._workers]:
            if not child.running:
                self._revive(child)
        if not self._ready:
            self._announce()
        if self._heartbeat.is_silent(time.monotonic()):
            _say("Celery gives no sign of life; starting it anew.")
            stop_all(self._celery, seconds=2.0)
        _bury_orphans({child.pid for child in [*self._stores, *self._workers]})

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        code = child.exit_code or 0
        if child.name not in self._due:
            self._due[child.name] = now + self._restarts[child.name].ended(now, code)
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            _say(f"{child.name} {how}; starting it again.")
        if now < self._due[child.name]:
            return
        del self._due[child.name]
        try:
            self._launch(child)
        except ServerError as error:
            _say(str(error))  # the next look finds it ended and counts that

    def _announce(self) -> None:
        answer = _readiness(self._options.host, self.port)
        if answer is not None:
            if time.monotonic() > self._hint_at:
                self._hint_at = time.monotonic() + HINT_SECONDS
                _say(f"Not ready yet: {answer}")
            return
        self._ready = True
        host = self._options.host if self._options.host not in ("0.0.0.0", "::") else "localhost"  # noqa: S104
        address = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        with suppress(OSError):
            print(f"\n  Chat is running on {address}\n  Data: {self._data.path}\n  Ctrl-C stops it.\n", flush=True)

    # The end.

    def _stop(self) -> None:
        """Stop what serves people first, then what it needs."""
        self._listener.close()
        stop_all(self._workers, DRAIN_SECONDS)
        stop_all(self._stores)
        self._data.unlock()

    def _hurry(self, *_: object) -> None:
        """End everything by force: a second signal came, which may be at any moment after the first."""
        for child in [*self._stores, *self._workers]:
            child.kill(wait=False)


def _readiness(host: str, port: int) -> str | None:
    """Return None if the server says that it is ready, else what it says."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(target, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return None if answer.status == http.HTTPStatus.OK else answer.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()


def _catch_signals(again: Callable[..., None]) -> int:
    """Turn the first signal that tells to end into Told, have `again` called at every other one.

    Returns a descriptor that becomes readable at any signal.
    """
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that a child's end wakes us

    def tell(*_: object) -> None:
        _on_signals(again)  # from this moment on: a second signal that came before the stop began was lost once
        raise Told

    _on_signals(tell)
    return readable


def _on_signals(handler: object) -> None:
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, handler)  # type: ignore[arg-type]


def _bury_orphans(ours: set[int]) -> None:
    """Take note of the ends of processes that the kernel gave us, as it does to the first one of a container."""
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in ours:
            os.waitpid(ended.si_pid, 0)
