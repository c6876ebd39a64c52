"""One child process: what it is given, how it ends, and that it ends with its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from chat.launcher.child import Account, Child, Program, stop_all
from tests.chat.processes import ROOT, gone, until

SLEEPER = ["/bin/sleep", "600"]
# Ignores the polite signal; says when it does.
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
HEARS = "import signal, time; signal.signal(2, signal.SIG_DFL); print('hears', flush=True); time.sleep(600)"
STUBBORN = [sys.executable, "-c", DEAF]


def test_a_child_gets_its_environment_and_writes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = Program(["/bin/sh", "-c", 'echo "$WORD"; exit 3'], environ={"WORD": "hello"}, log=log)
    child = Child("teller", program).start()
    assert child.wait(10)
    assert (child.exit_code, log.read_text()) == (3, "hello\n")
    assert log.stat().st_mode & 0o777 == 0o600


def test_of_a_mute_child_only_the_errors_are_heard(tmp_path: Path) -> None:
    program = Program(["/bin/sh", "-c", "echo chatter; echo error >&2"], log=tmp_path / "log", mute=True)
    assert Child("teller", program).start().wait(10)
    assert (tmp_path / "log").read_text() == "error\n"


def test_a_child_that_was_never_started_is_not_running_and_stops_without_ado() -> None:
    child = Child("nobody", Program(SLEEPER))
    child.stop()
    assert (child.running, child.exit_code) == (False, None)
    with pytest.raises(RuntimeError, match="never started"):
        _ = child.pid


def test_ctrl_c_in_the_terminal_does_not_reach_a_child() -> None:
    child = Child("sleeper", Program(SLEEPER)).start()
    assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    child.kill()
    assert child.exit_code == -signal.SIGKILL


def test_a_child_that_runs_is_not_started_again() -> None:
    child = Child("sleeper", Program(SLEEPER)).start()
    with pytest.raises(RuntimeError, match="runs already"):
        child.start()
    child.stop()
    child.start()
    child.stop()


def test_a_child_stops_by_the_signal_that_its_program_names(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child("hearing", Program([sys.executable, "-c", HEARS], stop=signal.SIGINT, log=log)).start()
    until(lambda: log.read_text() == "hears\n", "it hears the signal, whatever the tests' own parent ignores")
    child.stop()
    assert child.exit_code == -signal.SIGINT


def test_a_child_that_does_not_stop_is_killed_and_the_others_are_waited_for_at_the_same_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    children = [Child("deaf", Program(STUBBORN, log=log)).start(), Child("sleeper", Program(SLEEPER)).start()]
    until(lambda: log.read_text() == "deaf\n", "the stubborn one is deaf")
    start = time.monotonic()
    stop_all(children, seconds=0.5)
    assert [child.exit_code for child in children] == [-signal.SIGKILL, -signal.SIGTERM]
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("user", ["", "nobody"])
def test_a_child_ends_with_its_parent_even_if_that_is_killed(user: str) -> None:
    if user and os.geteuid() != 0:
        user = ""
    program = f"""
import pwd, time
from chat.launcher.child import *
entry = {user!r} and pwd.getpwnam({user!r})
account = entry and Account(entry.pw_name, entry.pw_uid, entry.pw_gid) or None
print(Child("sleeper", Program({SLEEPER!r}, account=account)).start().pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    with parent.stdout:
        pid = int(parent.stdout.readline())
    assert not gone(pid)
    parent.kill()
    parent.wait()
    until(lambda: gone(pid), "the child has ended")


def test_a_child_outlives_the_thread_that_started_it() -> None:
    child = Child("sleeper", Program(SLEEPER))
    thread = threading.Thread(target=child.start)
    thread.start()
    thread.join()
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["/usr/bin/tail", f"--pid={child.pid}", "-f", "/dev/null"], timeout=0.3, check=True)
    assert child.running
    child.kill()


def test_a_child_runs_as_another_account() -> None:
    if os.geteuid() != 0:
        assert Child("id", Program(["/bin/true"])).start().wait(10)
        return
    child = Child("sleeper", Program(SLEEPER, account=Account("nobody", 65534, 65534), cwd=Path("/"))).start()
    assert os.stat(f"/proc/{child.pid}").st_uid == 65534
    child.kill()
