"""A version that starts anew on the tables of a newer one: during a rolling upgrade, or because somebody goes back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.clients.person import Person
from tests.deployment import ROOT, Deployment, Web

NEWER = """
ALTER TABLE entries ADD COLUMN newer text;
UPDATE alembic_version SET version_num = '9999_newer'
"""  # what a migration of the newer version did
MARK = "of the newer version"


@pytest.fixture(scope="module")
def elsewhere(deployment: Deployment) -> Iterator[dict[str, str]]:
    """The environment of servers on a database of the test's own, migrated by this version and then by a newer one."""
    name = f"newer{os.getpid()}"
    with psycopg.connect(deployment.postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER chat")
        environ = {**deployment.environ, "REDIS_PREFIX": f"{name}:"}
        environ["DATABASE_URL"] = deployment.postgres.url.replace("/chat?", f"/{name}?")
        upgrade(environ)
        with connect(environ) as connection:
            connection.execute(NEWER)
        yield environ
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def connect(environ: dict[str, str]) -> psycopg.Connection:
    return psycopg.connect(environ["DATABASE_URL"].replace("+psycopg", ""), autocommit=True)


def upgrade(environ: dict[str, str]) -> str:
    """Do what every start does first; return what it says."""
    command = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def body(connection: psycopg.Connection, function: str) -> str:
    """Return a function's body; nothing if there is none."""
    found = connection.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", [function]).fetchone()
    return found[0] if found else ""


def test_an_older_version_starts_on_a_newer_ones_tables_and_serves(elsewhere: dict[str, str], tmp_path: Path) -> None:
    assert "9999_newer of a newer version" in upgrade(elsewhere)
    web = Web(elsewhere, tmp_path / "web.log")
    try:
        web.start()
        ann, bob = Person(web.url), Person(web.url)
        sent = ann.send(bob, "from a version that went back")
        assert [entry["seq"] for entry in bob.history(sent["conversationId"])] == [sent["seq"]]
        ann.close()
        bob.close()
    finally:
        web.stop()


def test_it_leaves_the_newer_versions_tables_and_functions_alone_and_adds_only_what_it_lacks(
    elsewhere: dict[str, str],
) -> None:
    with connect(elsewhere) as connection:
        newer = connection.execute("SELECT pg_get_functiondef('chat_open_3'::regproc)").fetchone()[0]
        connection.execute(newer.replace("$function$", f"$function$ -- {MARK}\n", 1))
        connection.execute("DROP FUNCTION chat_history_1(json)")
        upgrade(elsewhere)
        assert MARK in body(connection, "chat_open_3")
        assert body(connection, "chat_history_1")
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999_newer",)
        connection.execute("SELECT newer FROM entries")


def test_a_version_puts_in_place_its_own_functions_where_the_tables_are_its_own(elsewhere: dict[str, str]) -> None:
    """As after a change of a function that needs no migration."""
    with connect(elsewhere) as connection:
        older = connection.execute("SELECT pg_get_functiondef('chat_open_3'::regproc)").fetchone()[0]
        connection.execute(older.replace("$function$", f"$function$ -- {MARK}\n", 1))
        head = sorted(path.name for path in (ROOT / "migrations" / "versions").glob("0*.py"))[-1][:4]
        connection.execute("UPDATE alembic_version SET version_num = %s", [head])
        assert upgrade(elsewhere) == ""
        assert MARK not in body(connection, "chat_open_3")
