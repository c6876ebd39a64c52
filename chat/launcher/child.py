"""One child process: tied to its parent from its first instruction, told to stop, ended by force, found dead.

Every child leads a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone and the order of
stopping is the supervisor's. The kernel ends a child whose parent is gone (Linux: PR_SET_PDEATHSIG), so that a
`kill -9` of the parent leaves nothing behind.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

__all__ = ["PROJECT", "Account", "Child", "Program", "can_tie", "stop_all", "tie_to_parent"]

PROJECT = Path(__file__).absolute().parents[2]
STOP_SECONDS = 10.0  # what a container gives its server, too
_PR_SET_PDEATHSIG = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


class Account(NamedTuple):
    """A user of this machine under whom a child runs."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """What a child runs. `orphan` is the signal that it gets when its parent is gone, however that ended.

    What a `mute` one says on its stdout is thrown away; its errors are heard.
    """

    argv: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = PROJECT
    account: Account | None = None
    log: Path | None = None
    stop: signal.Signals = signal.SIGTERM
    orphan: signal.Signals = signal.SIGKILL
    pass_fds: Sequence[int] = ()
    mute: bool = False


def can_tie() -> bool:
    """Tell whether this system ends children with their parent."""
    return _prctl is not None


def tie_to_parent(sig: signal.Signals, parent: int) -> None:
    """Have the kernel send `sig` to this process when `parent`, its parent, ends. A later change of user undoes it."""
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel knew our wish
        os.kill(os.getpid(), sig)


def _tie(orphan: signal.Signals) -> partial[None] | None:
    # The kernel ties a child to the thread that started it, and a thread may end long before its process does.
    if sys.platform == "linux" and threading.get_native_id() != os.getpid():
        return None
    return partial(tie_to_parent, orphan, os.getpid())


class Child:
    """A program and, once started, its process. Not for use by two threads."""

    def __init__(self, name: str, program: Program | None = None):
        self.name = name
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def plan(self) -> Program:
        """Return what to run; asked for at every start."""
        if self._program is None:
            raise RuntimeError(f"nobody said what {self.name} runs")
        return self._program

    @property
    def pid(self) -> int:
        """Process id of the last start. Raises RuntimeError before the first."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs or was never started, else its exit code, or the negative number of its signal."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the process; it is not waited for. Raises OSError if the program cannot be run."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        program = self._program = self.plan()
        log = None if program.log is None else os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        account = program.account
        try:
            self._process = subprocess.Popen(  # noqa: S603
                program.argv, env=program.environ, cwd=program.cwd, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if program.mute else log, stderr=log,
                start_new_session=True, pass_fds=program.pass_fds,
                preexec_fn=_tie(program.orphan),  # noqa: PLW1509 (it makes two system calls)
                user=account and account.uid, group=account and account.gid, extra_groups=account and [],
            )  # fmt: skip
        finally:
            if log is not None:
                os.close(log)
        return self

    def ask_to_stop(self) -> None:
        """Send the program's own stop signal; a process that is gone already is no error."""
        if self._process is not None and self._program is not None and self._process.poll() is None:
            self._process.send_signal(self._program.stop)

    def kill(self, *, wait: bool = True) -> None:
        """End the process and its group at once."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):  # called by a signal's handler, while its end is being noted
                os.killpg(self._process.pid, signal.SIGKILL)
            if wait:
                self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for the end of the process; tell whether it has ended."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask the process to stop and wait for it up to `seconds`; then end it by force."""
        stop_all([self], seconds)


def stop_all(children: Sequence[Child], seconds: float = STOP_SECONDS) -> None:
    """Stop several at once: ask all, wait for them up to `seconds` together, kill those that are left."""
    deadline = time.monotonic() + seconds
    for child in children:
        child.ask_to_stop()
    for child in children:
        if not child.wait(deadline - time.monotonic()):
            child.kill()
