"""The REST door with what makes it a chat: writer, positions and directory run, the live part does not."""

from typing import Any

import gevent
from flask import Flask
from gevent.event import AsyncResult
from sqlalchemy import Engine

from chat.directory import Directory
from chat.errors import ChatError
from chat.frames import Caller, Command
from chat.messages import Sent
from chat.pages import Pages, Readers
from chat.positions import Positions
from chat.sending import Sending
from chat.tallies import Tallies
from chat.writer import Writer
from tests.chat.door import Desk, rest_app


class Counter(Desk):
    """What of a node the chat's verbs and routes need."""

    def __init__(self, engine: Engine, config: dict[str, Any]):
        super().__init__(engine, config)
        url = config["DATABASE_URL"]
        self.directory = Directory(engine)
        self.writer = Writer(url, config, self.tell)
        self.sending = Sending(self.directory, config)
        self.positions = Positions(url, self.tell)
        self.readers = Readers(url)
        self.pages = Pages(self.readers.ask)
        self.tallies = Tallies(url, self.redis, config, lambda: True)
        loops = self.writer.loops | self.positions.loops | self.tallies.loops
        self._greenlets = [gevent.spawn(loop) for loop in loops.values()]
        gevent.sleep(0)  # so that they run: what was never started is not waited for when the positions stop

    def last_handed(self, caller: Caller, conversation: int) -> int | None:
        return None

    def execute(self, caller: Caller, command: Command) -> Any:
        """Run a command; a message's data is checked on its own way."""
        return self.send(caller, command.data) if command.op == "message.send" else super().execute(caller, command)

    def send(self, caller: Caller, data: dict[str, Any]) -> Sent:
        answered: AsyncResult[Any] = AsyncResult()
        self.writer.submit(self.sending.compose(caller, data, answered.set))
        answer = answered.get(timeout=10)
        if isinstance(answer, ChatError):
            raise answer
        return answer

    def close(self) -> None:
        self.positions.stop()
        gevent.killall(self._greenlets)
        for statement in self.writer._statements:
            statement.close()
        self.readers.close()
        self.redis.close()


def chat_app(engine: Engine, redis_url: str, **settings: Any) -> Flask:
    """Make an app of the routes over a counter."""
    app = rest_app(engine, redis_url, **settings)
    app.extensions["chat.node"] = Counter(engine, app.config)
    return app
