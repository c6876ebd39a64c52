"""What a worker leaves behind that is killed between commit and publish: it stands in the database, untold."""

import json
from types import SimpleNamespace

import psycopg
from sqlalchemy import create_engine

from chat.config import load
from chat.frames import Caller
from chat.services import members
from chat.transaction import run_in_transaction
from tests.clients.person import Person
from tests.deployment import SECRET

__all__ = ["add_untold", "commit_untold"]

SQL = "SELECT chat_write_3(%s::json, true)"

NAMED = (
    "SELECT id FROM conversations c WHERE CASE WHEN low IS NULL THEN 'g' || id ELSE 'p' || low || '-' || high END = %s"
)


def commit_untold(database_url: str, sender: Person, to: Person | str, contents: list[str]) -> list[int]:
    """Commit messages to a person or a conversation as the writer does, and tell nobody. Returns their seqs."""
    with psycopg.connect(database_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        me = _number(connection, sender)
        place = _pair(me, _number(connection, to)) if isinstance(to, Person) else _named(connection, to)
        rows = [
            {**place, "o": o, "s": me, "l": f"untold-{content}"[:64], "d": 0, "t": "text", "x": content}
            for o, content in enumerate(contents)
        ]
        answer = connection.execute(SQL, [json.dumps(rows)]).fetchone()
    assert answer is not None
    stored = json.loads(answer[0])
    assert all(verdict == 0 for _, verdict, *_ in stored), stored
    return [seq for *_, seq, _, _, _, _ in sorted(stored)]


def add_untold(database_url: str, owner: Person, group: str, person: Person) -> None:
    """Let somebody into a group as the service does, and tell nobody."""
    config = load({"DATABASE_URL": database_url, "REDIS_URL": "unused", "JWT_SECRET": SECRET}, {})
    silent = SimpleNamespace(config=config, tell=lambda events: None, enqueue=lambda task, arguments: None)
    with psycopg.connect(database_url.replace("+psycopg", "", 1)) as connection:
        caller = Caller(_number(connection, owner), owner.id, 0)
    engine = create_engine(database_url)
    try:
        run_in_transaction(engine, silent, lambda tx: members.add(tx, caller, group, [person.id]))
    finally:
        engine.dispose()


def _number(connection: psycopg.Connection, person: Person) -> int:
    row = connection.execute("SELECT id FROM users WHERE public_id = %s", [person.id]).fetchone()
    assert row is not None
    return int(row[0])


def _pair(one: int, other: int) -> dict[str, int]:
    return {"lo": min(one, other), "hi": max(one, other)}


def _named(connection: psycopg.Connection, wire_id: str) -> dict[str, int]:
    row = connection.execute(NAMED, [wire_id]).fetchone()
    assert row is not None
    return {"c": int(row[0])}
