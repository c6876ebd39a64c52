"""The web server's entry: everything in it waits cooperatively, and nothing outside it does."""

import subprocess
import sys

from tests.chat.processes import ROOT, plain_environ

SETTINGS = {"DATABASE_URL": "postgresql+psycopg://nowhere/", "REDIS_URL": "redis://nowhere/", "JWT_SECRET": "s" * 32}


def python(code: str) -> str:
    """Run the code in a fresh Python; return what it prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=plain_environ(**SETTINGS), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_first_line_patches() -> None:
    first = (ROOT / "wsgi.py").read_text().splitlines()[0]
    assert first.startswith("from gevent import monkey; monkey.patch_all()")


def test_the_drivers_of_database_and_redis_wait_cooperatively() -> None:
    code = """
import wsgi, gevent.socket, psycopg.waiting, redis.connection
print(wsgi.app.name, redis.connection.socket.socket is gevent.socket.socket, psycopg.waiting.wait.__name__)
"""
    name, redis_waits, psycopg_waits = python(code).split()
    assert (name, redis_waits) == ("app", "True")
    assert psycopg_waits != "wait_c"  # which would hold every greenlet


def test_nothing_else_patches() -> None:
    assert python("import app; from gevent import monkey; print(monkey.is_module_patched('socket'))") == "False"
    assert python("import tasks.worker, sys; print('gevent' in sys.modules)") == "False"
    assert python("import chat.launcher.supervisor, sys; print('gevent' in sys.modules)") == "False"
