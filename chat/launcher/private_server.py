"""Where a private server (PostgreSQL, Redis) lives: its account, its folders, its socket, its start and its end.

A server's *home* holds `data`, `run` (the socket) and a log. As root, PostgreSQL needs another account, and that one
may not be able to reach the home; then the home is a link to a folder under /var/lib. No folder that is not ours is
ever touched.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from chat.launcher.child import Account, Child

__all__ = ["REFUGE", "PrivateServer", "ServerError", "account_for", "reachable", "refuge", "settle", "socket_folder"]

REFUGE = Path("/var/lib/chat-server")  # what an unprivileged account cannot reach elsewhere
_SOCKET_PATH_BYTES = 107  # of sockaddr_un, without its final NUL
_SERVERS = ("postgres", "redis", "valkey")  # a shell may stand in the folder, too
_LOG_BYTES = 1_000_000  # a log beyond this starts anew: enough for the story of any failure


class ServerError(Exception):
    """A private server cannot be had; the text tells a person why and what to do."""


def account_for(home: Path) -> Account | None:
    """Return who must run a server that refuses to be root: None for ourselves, else the owner of `home`, if it exists.

    For a new one `postgres`, where a system package made it (it is there for just this), else `nobody`, which is
    everywhere. An account of our own making would have to be removed by somebody.
    """
    if os.geteuid() != 0:
        _check_name()
        return None
    owner = home.stat().st_uid if home.exists() else 0
    for entry in pwd.getpwall():
        if owner and entry.pw_uid == owner:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise ServerError("PostgreSQL refuses to be root, and there is no account `postgres` or `nobody`: start as a user.")


def _check_name() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ServerError(
            f"PostgreSQL wants its user to have a name, and user {os.geteuid()} has none here:"
            " start as another one, or set DATABASE_URL."
        ) from None


def reachable(folder: Path, account: Account | None) -> bool:
    """Tell whether `account` may enter `folder`. The kernel is asked: modes alone do not tell (ACLs, containers)."""
    if account is None:
        return True
    probe = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", 'cd "$0"', str(folder)],
        cwd="/",
        check=False,
        capture_output=True,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
    )
    return probe.returncode == 0


def settle(home: Path, account: Account | None) -> Path:
    """Return the folder where the server's files lie: `home`, or where it links to. Made if missing, mode 0700."""
    if not os.path.lexists(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        if reachable(home.parent, account):
            home.mkdir(mode=0o700)
        else:
            _sweep_refuge()
            # A random name, known by the link alone: whoever deletes the data directory gets an empty server next time.
            elsewhere = refuge() / f"{home.name}-{secrets.token_hex(6)}"
            elsewhere.mkdir(mode=0o700)
            home.symlink_to(elsewhere)
            (elsewhere / "link").write_text(str(home.absolute()))
        _own(home, account)
    return home.resolve(strict=True)


def refuge() -> Path:
    """Return the folder for what an unprivileged account cannot reach elsewhere; made if missing."""
    if not REFUGE.exists():
        REFUGE.mkdir(parents=True)
        REFUGE.chmod(0o755)  # whatever the umask
    return REFUGE


def _sweep_refuge() -> None:
    """Delete what is kept for places in the temporary folder that are gone: nobody will come back for it."""
    for kept in refuge().glob("*/link"):
        try:
            link = Path(kept.read_text())
        except FileNotFoundError:
            continue  # another start sweeps, too
        temporary = link.is_relative_to(tempfile.gettempdir())
        if temporary and not os.path.lexists(link) and not _left_behind(kept.parent / "data"):
            shutil.rmtree(kept.parent, ignore_errors=True)


def _own(folder: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def socket_folder(home: Path, name: str, account: Account | None) -> Path:
    """Return a folder of mode 0700 where a socket `name` can be bound: in `home`, or a temporary one if need be."""
    folder = home / "run"
    if not folder.is_dir() and folder.is_symlink():
        folder.unlink()  # the temp folder was cleaned
    if not folder.exists():
        if len(os.fsencode(folder / name)) > _SOCKET_PATH_BYTES:
            folder.symlink_to(tempfile.mkdtemp(prefix="chat-"))
        else:
            folder.mkdir(mode=0o700)
        _own(folder, account)
    return folder.resolve()


def _left_behind(folder: Path) -> list[int]:
    # Both servers make the folder of their data their working directory, and all their processes keep it.
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder) and (entry / "comm").read_text().startswith(_SERVERS):
                found.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile, or not ours to look at
    return found


def evict(folder: Path, polite: signal.Signals, seconds: float = 10.0) -> None:
    """End what an earlier run left behind in the data folder `folder`, politely for `seconds`, then by force.

    A second server on the same files, or an old one that removes the new one's socket on its way out, must not be.
    """
    for sig, patience in ((polite, seconds), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        left = _left_behind(folder)
        for pid in left:
            _send(pid, sig)
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = _left_behind(folder)
        if not left:
            return
    raise ServerError(f"The processes {left} still work in {folder} and cannot be ended.")


def _send(pid: int, sig: signal.Signals) -> None:
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return


class PrivateServer(Child, ABC):
    """A server of our own on a socket of our own. A context manager: started inside, stopped at the end.

    `home` is its folder; with `keep=False` (tests) it is removed at the end. After `kill()` or a crash `start()` heals.
    """

    NAME: str
    SOCKET: str
    POLITE = signal.SIGTERM
    READY_SECONDS = 300.0  # recovery after a crash reads at most max_wal_size again; longer is a fault

    def __init__(self, home: Path | str, *, account: Account | None = None, keep: bool = True):
        super().__init__(self.NAME)
        self.account = account
        self._asked_home = Path(home).absolute()
        self.home = settle(self._asked_home, account)
        self.data = self.home / "data"
        self.log = self.home / f"{self.NAME}.log"
        self.keep = keep

    @property
    @abstractmethod
    def url(self) -> str:
        """Address for clients."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether clients are served."""

    @property
    def moved(self) -> bool:
        """Whether the files lie elsewhere than asked, because the server's account cannot reach that place."""
        return self._asked_home.is_symlink()

    @property
    def run(self) -> Path:
        """The folder of the socket."""
        return socket_folder(self.home, self.SOCKET, self.account)

    def start(self) -> Self:
        """Start the server and return when it serves. Raises ServerError, with the end of its log, if it does not."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start the server without waiting for it, after what an earlier run left behind has gone."""
        if self.data.exists() and not self.running:
            evict(self.data, self.POLITE)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            os.truncate(self.log, 0)
        super().start()

    def wait_ready(self) -> None:
        """Wait until clients are served. Raises ServerError if the server ends instead."""
        deadline = time.monotonic() + self.READY_SECONDS
        while not self.is_ready():
            if not self.running or time.monotonic() > deadline:
                raise ServerError(f"{self.NAME} does not start:\n{self.last_words()}")
            time.sleep(0.01)

    def last_words(self) -> str:
        """Return the end of the log."""
        if not self.log.exists():
            return "(it said nothing)"
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 2_000))
            return log.read().decode(errors="replace").strip()

    def remove(self) -> None:
        """Delete everything the server kept. It must be stopped."""
        for folder in (self.home / "run", self._asked_home):
            if folder.is_symlink():
                shutil.rmtree(folder.resolve(), ignore_errors=True)
                folder.unlink(missing_ok=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        if not self.keep:
            self.remove()
