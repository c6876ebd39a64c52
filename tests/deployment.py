"""A deployment for tests: private PostgreSQL and Redis and web servers, each to be killed and started again."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from chat.launcher.embedded_postgres import Postgres
from chat.launcher.embedded_redis import Redis

ROOT = Path(__file__).resolve().parents[1]
SECRET = "a secret of the tests, which is long enough"
READY_WITHIN = 30.0  # seconds
ENDED_WITHIN = 20.0


class Web:
    """One gunicorn with its workers on a port of its own."""

    def __init__(self, environ: dict[str, str], log: Path):
        self._environ = environ
        self._log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self.launch()
        wait_for(self.is_ready, READY_WITHIN, f"the web server, see {self._log}")

    def launch(self) -> None:
        """Start without waiting."""
        environ = {**self._environ, "PORT": str(self.port), "HOST": "127.0.0.1"}
        command = [sys.executable, "-m", "gunicorn", "-c", "chat/webserver/settings.py", "wsgi:app"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)

    def is_ready(self) -> bool:
        """Tell whether it takes requests."""
        try:
            return requests.get(self.url + "/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        assert self.process is not None
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def kill_workers(self) -> None:
        """Kill every worker; gunicorn starts new ones."""
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill gunicorn and its workers, all at once; nobody starts new ones."""
        assert self.process is not None
        for pid in [self.process.pid, *self.workers()]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End it: SIGTERM drains, SIGKILL does not ask."""
        if self.process is not None:
            self.process.send_signal(sig)
            self.process.wait(ENDED_WITHIN)
            self.process = None


class Deployment:
    """PostgreSQL, Redis and one or more web servers in a folder. Settings of the server by name."""

    def __init__(self, folder: Path, webs: int = 1, **settings: Any):
        self.folder = folder
        self.postgres = Postgres(folder / "postgresql")
        self.redis = Redis(folder / "redis")
        self.environ: dict[str, str] = {}
        self.webs: list[Web] = []
        self._count = webs
        self._settings = settings

    def start(self) -> "Deployment":
        """Start everything."""
        self.postgres.start()
        self.redis.start()
        self.environ = {
            **os.environ,
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "JWT_SECRET": SECRET,
            "ENVIRONMENT": "development",
            "DATA_DIR": str(self.folder / "data"),
            "LOGIN_PER_ADDRESS": "100000",
            "JWT_AUTO_CREATE": "1",
            **{name: str(value) for name, value in self._settings.items()},
        }
        self.flask("db", "upgrade")
        self.webs = [Web(self.environ, self.folder / f"web{place}.log") for place in range(self._count)]
        for web in self.webs:
            web.start()
        return self

    @property
    def web(self) -> Web:
        """The first web server."""
        return self.webs[0]

    @property
    def url(self) -> str:
        """Its address."""
        return self.web.url

    def flask(self, *command: str) -> str:
        """Run a command of the application; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", *command],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        """Stop everything and remove the servers' files."""
        for web in self.webs:
            web.stop()
        self.redis.stop()
        self.postgres.stop()


def wait_for(condition: Any, seconds: float, what: str) -> Any:
    """Return the condition's first true value. Fails when it does not come in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that is free at the moment, and that no connection is given by itself while its server is away."""
    given_out_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(10_000, given_out_from), 100):
        with socket.socket() as probe, suppress(OSError):  # taken
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("of a hundred ports none is free")
