"""The field of the runs: a deployment of one shape whose every part can be broken and is healed again afterwards."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import redis

from chat.launcher.child import Child, Program
from tests.chaos.plan import Shape
from tests.chaos.relay import Relay, Relays
from tests.deployment import Deployment, Web, wait_for

__all__ = ["Field", "Story"]

HEALTHY_WITHIN = 90.0  # seconds for everything to run again; a machine may be busy
SETTINGS = {  # nobody is held back; and clients give signs of life often, by which forgotten presence heals
    "MESSAGE_RATE": 1_000,
    "MESSAGE_BURST": 10_000,
    "COMMAND_RATE": 2_000,
    "COMMAND_BURST": 10_000,
    "PING_SECONDS": 4,
    "POLL_SECONDS": 4,
    "THUMBNAIL_PIXELS": 100_000,  # so that small images are large ones, whose thumbnails Celery makes
}
WELL = 2  # good answers in a row of a web server, one of whose workers may still be starting


class Story:
    """What happened when, as lines. `clock`: another story, by whose time this one is told."""

    def __init__(self, clock: "Story | None" = None) -> None:
        self._clock = clock
        self._began = time.monotonic()
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Count from now on."""
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        """Add a line."""
        with self._lock:
            self._lines.append(f"{self.seconds():7.3f} {text}")

    def seconds(self) -> float:
        """Return how long it goes on."""
        return self._clock.seconds() if self._clock else time.monotonic() - self._began

    def text(self) -> str:
        """Return everything."""
        with self._lock:
            return "\n".join(self._lines) + "\n"


class Field:
    """PostgreSQL, Redis, Celery and web servers in a folder. Between the latter and the stores stand relays."""

    def __init__(self, folder: Path, shape: Shape):
        self.folder, self.shape = folder, shape
        self.servers = Deployment(folder, webs=0, **SETTINGS)
        self.postgres, self.redis = self.servers.postgres, self.servers.redis
        self.webs: list[Web] = []
        self.to_redis: list[Relay] = []
        self.to_postgres: list[Relay] = []
        self.celery: list[Child] = []
        self.frozen: set[int] = set()  # process ids
        self.story = Story()
        self.played: list[int] = []  # the seeds of the runs that it has seen
        self._relays = Relays()

    def start(self) -> "Field":
        """Start everything."""
        self.servers.start()
        data = self.folder / "data"
        data.mkdir()
        self.servers.environ["DATA_DIR"] = str(data)
        for place in range(self.shape.webs):
            self._add_web(place)
        for role, flags in (("worker", ["--pool=prefork", "--concurrency=1"]), ("beat", ["--pidfile="])):
            argv = [sys.executable, "-m", "celery", "-q", "-A", "tasks.worker", role, "--loglevel=WARNING", *flags]
            self.celery.append(Child(role, Program(argv, environ=self.servers.environ, log=self.folder / "celery.log")))
        self.heal()
        return self

    def _add_web(self, place: int) -> None:
        folder = self.folder / f"relay{place}"
        to_redis = self._relays.make(folder / "redis.sock", self.redis.run / self.redis.SOCKET)
        to_postgres = self._relays.make(folder / self.postgres.SOCKET, self.postgres.run / self.postgres.SOCKET)
        environ = {
            **self.servers.environ,
            "WORKERS": str(self.shape.workers),
            "REDIS_URL": f"unix://{to_redis.path}",
            "DATABASE_URL": f"postgresql+psycopg://chat@/chat?host={folder}&port=5432",
        }
        self.webs.append(Web(environ, self.folder / f"web{place}.log"))
        self.to_redis.append(to_redis)
        self.to_postgres.append(to_postgres)

    def workers(self) -> list[tuple[int, int]]:
        """Return (web server, process id) of every worker that is there."""
        return [(place, pid) for place, web in enumerate(self.webs) if web.process is not None for pid in web.workers()]

    def keys(self, seconds: float = 1.0) -> redis.Redis:
        """Return Redis as an operator has it, who waits so long for an answer."""
        return redis.Redis.from_url(self.redis.url, socket_timeout=seconds)

    def admin(self) -> psycopg.Connection:
        """Return PostgreSQL as its superuser has it."""
        return psycopg.connect(self.postgres.admin_url, autocommit=True, connect_timeout=5)

    def hurt(self, relay: Relay, pid: int, how: str) -> None:
        """Harm what goes from a worker through a relay."""
        self._relays.run(relay.hurt(pid, how))

    def mend(self, relay: Relay) -> None:
        """Let everything through again."""
        self._relays.run(relay.heal())

    def freeze(self, pid: int) -> Callable[[], None]:
        """Stop a process; return what lets it go on."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.frozen.add(pid)
        return lambda: self.thaw({pid})

    def thaw(self, pids: set[int]) -> None:
        """Let these go on."""
        for pid in pids & self.frozen:
            self.frozen.discard(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def heal(self) -> None:
        """Have everything run, and wait until all of it is well."""
        self.thaw(set(self.frozen))
        for relay in (*self.to_redis, *self.to_postgres):
            self.mend(relay)
        for server in (self.postgres, self.redis):
            if not server.running:
                server.start()
        for child in self.celery:
            if not child.running:
                child.start()
        with self.keys(HEALTHY_WITHIN) as keys:
            keys.client_unpause()  # answered when the last pause of everything is over
        wait_for(self.has_database, HEALTHY_WITHIN, "PostgreSQL to answer")
        for web in self.webs:
            if web.process is None:
                web.launch()
        wait_for(self.is_well, HEALTHY_WITHIN, f"the workers to be ready, see {self.folder}")

    def has_database(self) -> bool:
        """Tell whether PostgreSQL answers."""
        try:
            with self.admin() as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def is_well(self) -> bool:
        """Tell whether every worker is there and every web server takes requests."""
        whole = len(self.workers()) == self.shape.webs * self.shape.workers
        return whole and all(web.is_ready() for web in self.webs for _ in range(WELL * self.shape.workers))

    def logs(self) -> list[Path]:
        """Return the servers' logs."""
        found = [*self.folder.glob("*.log"), self.postgres.log, self.redis.log]
        return [path for path in found if path.exists()]

    def stop(self) -> None:
        """Stop everything at once and remove its files."""
        self.thaw(set(self.frozen))
        for web in self.webs:
            web.stop(signal.SIGKILL)
        for child in self.celery:
            child.kill()
        self._relays.close()
        for server in (self.redis, self.postgres):
            server.kill()
            server.remove()
        shutil.rmtree(self.folder, ignore_errors=True)
