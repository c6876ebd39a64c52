"""The folder of one installation: whose it is at the moment, and the secret and the settings that are kept in it."""

import fcntl
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from chat.launcher.child import PROJECT

__all__ = ["DataDir", "DataDirError"]


class DataDirError(Exception):
    """The data directory cannot be used; the text says why to a person."""


class DataDir:
    """A data directory, locked while this process lives: the kernel lifts the lock, however the process ends.

    By default it is `data/<port>` in the project's own folder: what the first command makes lies in what was unpacked,
    goes when that is deleted, and is not shared with another copy of the project that happens to use the same port.
    """

    def __init__(self, path: str, port: int):
        self.path = Path(path).absolute() if path else PROJECT / "data" / str(port)
        self._lock = -1

    def lock(self) -> None:
        """Make the directory if it is missing and lock it. Raises DataDirError if another server has it."""
        # Others may pass through, as the account of the private PostgreSQL must, but not look around.
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataDirError(f"The data directory {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 20, 0).decode() or "?"
            os.close(self._lock)
            raise DataDirError(f"Another server (process {owner}) has the data directory {self.path}.") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def unlock(self) -> None:
        """Let another server have the directory."""
        os.close(self._lock)

    def secret(self, name: str) -> str:
        """Return the secret `name`, 64 hexadecimal digits, made on the first call and kept (mode 0600)."""
        path = self.path / name
        if not path.exists():
            self._write(path, secrets.token_hex(32))
        return path.read_text()

    def tell(self, settings: Mapping[str, str]) -> None:
        """Leave settings for commands beside the server, which a shell reads: `set -a; . data/5000/environment`.

        They may hold secrets: mode 0600.
        """
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in settings.items()]
        self._write(self.path / "environment", "".join(lines))

    def _write(self, path: Path, text: str) -> None:
        """Write a file that is there whole or not at all, and that only its owner can read."""
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
