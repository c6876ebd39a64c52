"""A small world in a real database: people, groups, messages written by the writer's own SQL, and units of work."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Engine, event, text

import chat
from chat.config import SETTINGS
from chat.frames import Caller, Event
from chat.ids import conversation_wire_id
from chat.models import Deployment
from chat.pages import Bounds, Pages
from chat.services import groups, members
from chat.services.groups import Settings
from chat.transaction import run_in_transaction

T = TypeVar("T")
NUMBERS = count(1)
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
STORED = 0
UNREAD = "SELECT chat_unread_1(ARRAY[CAST(:user AS bigint)], ARRAY[NULL]::bigint[], NULL, NULL)"


class World:
    """Acts on the database as the server would. `events` holds what was told after each commit."""

    def __init__(self, engine: Engine, **config: Any):
        self.engine = engine
        self.config: Mapping[str, Any] = DEFAULTS | config
        self.events: list[Event] = []

    @classmethod
    def prepare(cls, engine: Engine) -> None:
        """Make the tables and the writer's functions, where they are not there yet."""
        Deployment.metadata.create_all(engine)
        with engine.begin() as connection:
            for name in ("writer.sql", "positions.sql", "tallies.sql", "pages.sql"):
                connection.exec_driver_sql((Path(chat.__file__).parent / name).read_text())

    def tell(self, events: list[Event]) -> None:
        self.events += events

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        raise AssertionError(f"no task is expected, least of all {task}{arguments}")

    def do(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run a service in a unit of work of its own."""
        return run_in_transaction(self.engine, self, lambda tx: work(tx, *arguments, **named))

    def read(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run a service and return its answer as a client would decode it."""
        return orjson.loads(orjson.dumps(self.do(work, *arguments, **named)))

    def person(self, name: str = "Ann") -> Caller:
        """Make a user."""
        mark = secrets.token_hex(5)
        with self.engine.begin() as connection:
            row = connection.execute(
                text("INSERT INTO users (public_id, name) VALUES (:id, :name) RETURNING id, public_id"),
                {"id": f"{name.lower()}{mark}", "name": name},
            ).one()
        return Caller(row.id, row.public_id, 1, "")

    def people(self, *names: str) -> list[Caller]:
        """Make several users."""
        return [self.person(name) for name in names]

    def group(self, owner: Caller, *others: Caller, **settings: Any) -> str:
        """Make a group and return its wire id."""
        made = Settings(**({"name": "Club"} | settings))
        return self.do(groups.create, owner, made, [other.public_id for other in others]).data["id"]

    def join(self, group_id: str, member: Caller) -> None:
        self.do(members.join, member, group_id)

    def leave(self, group_id: str, member: Caller) -> None:
        self.do(members.leave, member, group_id)

    def send(self, wire_id: str, sender: Caller, content: str = "hi", **more: Any) -> int:
        """Write a message into a conversation and return its seq."""
        verdict, seq = self.try_to_send(wire_id, sender, content, **more)
        assert verdict == STORED, verdict
        return seq

    def send_to(self, receiver: Caller, sender: Caller, content: str = "hi") -> str:
        """Write a private message and return the conversation's wire id."""
        low, high = sorted((sender.user_id, receiver.user_id))
        self.send(f"p{low}-{high}", sender, content)
        return f"p{low}-{high}"

    def try_to_send(
        self,
        wire_id: str,
        sender: Caller,
        content: str = "hi",
        *,
        read_seq: int | None = None,
        connection: Connection | None = None,
        media: str | int | None = None,
        local_id: str = "",
        body: str | None = None,
    ) -> tuple[int, int]:
        """Write a message; return the writer's verdict and the seq. `connection`: an open transaction to do it in.

        `media`: the name or the number of the upload that it uses.
        """
        low, high = map(int, wire_id[1:].split("-")) if wire_id[0] == "p" else (None, None)
        item = {
            "o": 0,
            "c": None if low else int(wire_id[1:]),
            "lo": low,
            "hi": high,
            "s": sender.user_id,
            "l": local_id or f"local-{next(NUMBERS)}",
            "d": 1,
            "t": "text",
            "x": content,
            "b": body,
            "r": read_seq,
        }
        if isinstance(media, str):
            media = self.rows("SELECT id FROM media WHERE name = :name", name=media)[0].id
        if media is not None:
            item["m"] = media
        statement = text("SELECT chat_write_3(:batch, true, true, NULL, CAST(:media AS bigint[]))")
        values = {"batch": orjson.dumps([item]).decode(), "media": None if media is None else [media]}
        if connection is not None:
            answer = connection.execute(statement, values).scalar_one()
        else:
            with self.engine.begin() as own:
                answer = own.execute(statement, values).scalar_one()
        _, verdict, _, seq, *_ = orjson.loads(answer)[0]
        return verdict, seq

    def move(self, wire_id: str, member: Caller, seq: int) -> None:
        """Read up to an entry, by the positions' own SQL."""
        items = orjson.dumps([{"c": self.number(wire_id), "u": member.user_id, "d": None, "r": seq}]).decode()
        self.sql("SELECT chat_positions_2(CAST(:items AS json))", items=items)

    def recall(self, wire_id: str, seq: int) -> None:
        """Recall a message as a later command will: emptied, counted as a change, no longer unread."""
        self.sql(
            """WITH head AS (
                   UPDATE conversation_heads
                   SET change = change + 1, last_recalled_seq = greatest(last_recalled_seq, :seq)
                   WHERE conversation_id = :id RETURNING change)
               UPDATE entries
               SET content = '', body = NULL, recalled_at = now(), changed_at = now(), change = head.change FROM head
               WHERE conversation_id = :id AND seq = :seq""",
            id=self.number(wire_id),
            seq=seq,
        )

    def page(
        self, member: Caller, wire_id: str, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> dict[str, Any]:
        """Return a page of history as the database alone tells it, decoded as a client would."""
        found = Pages(self.ask_history).page(member.user_id, wire_id, Bounds(before, after, limit))
        return orjson.loads(orjson.dumps(found))

    def ask_history(self, question: bytes) -> bytes | None:
        """Run the function of pages.sql."""
        ((answer,),) = self.rows("SELECT chat_history_1(CAST(:asked AS json))", asked=question.decode())
        return None if answer is None else answer.encode()

    def unread(self, member: Caller) -> dict[str, Any]:
        """Return what a member has not read, as the database counts it: {total, conversations: {id: count}}."""
        ((_, _, total, named),) = orjson.loads(self.rows(UNREAD, user=member.user_id)[0][0])
        return {"total": total, "conversations": {conversation_wire_id(*row[:3]): row[3] for row in named}}

    def number(self, wire_id: str) -> int:
        """Return a conversation's number."""
        if wire_id[0] == "g":
            return int(wire_id[1:])
        low, high = map(int, wire_id[1:].split("-"))
        return self.rows("SELECT id FROM conversations WHERE low = :low AND high = :high", low=low, high=high)[0][0]

    def sql(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(statement), values))

    def told(self, name: str) -> list[Event]:
        """Return the events of this name since the last look, and forget all of them."""
        found, self.events = [event for event in self.events if event.name == name], []
        return found

    @contextmanager
    def counted(self) -> Any:
        """Collect the statements that are run inside."""
        found: list[str] = []

        def note(connection: Connection, cursor: Any, statement: str, *more: Any) -> None:
            found.append(statement)

        event.listen(self.engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            event.remove(self.engine, "before_cursor_execute", note)
