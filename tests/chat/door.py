"""The REST door alone: the routes and what stands behind them over a real database and Redis, without the live part."""

from collections.abc import Iterable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from marshmallow import ValidationError
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from chat.auth import Auth
from chat.commands import verbs
from chat.config import load
from chat.frames import Caller, Command, Event
from chat.metrics import Metrics
from chat.routes import blueprints
from chat.schemas import refusal
from chat.transaction import run_in_transaction

SECRET = "a secret of the tests, 32 bytes long"
PASSWORD = "correct horse"


class Presences:
    """Who is online, as the test says."""

    def __init__(self) -> None:
        self.online: set[int] = set()
        self.said_again: list[int] = []

    def states(self, user_ids: Iterable[int]) -> dict[int, tuple[bool, int]]:
        return {user: (user in self.online, 7) for user in user_ids}

    def say_again(self, user_id: int) -> None:
        self.said_again.append(user_id)


class Desk:
    """What of a node the REST door needs. `ended`: the logins whose connections were to be ended."""

    def __init__(self, engine: Engine, config: dict[str, Any]):
        self.engine, self.config = engine, config
        self.redis = Redis.from_url(config["REDIS_URL"], socket_timeout=2)
        self.presence = Presences()
        self.auth = Auth(self)
        self.metrics = Metrics()
        self.draining = False
        self.storage_is_there = lambda: True
        self.ended: list[int] = []
        self.events: list[Event] = []

    def execute(self, caller: Caller, command: Command) -> Any:
        verb = verbs()[command.op]
        try:
            data = verb.schema().load(command.data)
        except ValidationError as error:
            raise refusal(error) from error
        if verb.direct:
            return verb.run(self, caller, data)
        return run_in_transaction(self.engine, self, lambda tx: verb.run(tx, caller, data))

    def tell(self, events: list[Event]) -> None:
        self.events += events

    def enqueue(self, task: str, arguments: tuple[Any, ...]) -> None:
        raise AssertionError(f"no task is expected, least of all {task}{arguments}")

    def end_login(self, login_id: int) -> None:
        self.ended.append(login_id)


def rest_app(engine: Engine, redis_url: str, **settings: Any) -> Flask:
    """Make an app of the routes alone. Limits on guessing are off unless they are given."""
    given = {"JWT_SECRET": SECRET, "DATABASE_URL": str(engine.url), "REDIS_URL": redis_url} | NO_LIMITS | settings
    app = Flask(__name__, static_folder=None)
    app.config.update(load(given, environ={}))
    app.extensions["chat.node"] = Desk(engine, app.config)
    for blueprint in blueprints():
        app.register_blueprint(blueprint)
    return app


NO_LIMITS = {"LOGIN_PER_NAME": 0, "LOGIN_PER_ADDRESS": 0}


class Visitor:
    """Somebody with a client: registers, and then calls with the token that they got."""

    def __init__(self, app: Flask, username: str):
        self.client: FlaskClient = app.test_client()
        self.username = username
        answer = self.client.post("/api/v1/auth/register", json={"username": username, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        self.take(answer)

    def take(self, answer: TestResponse) -> None:
        """Go on with the tokens of an answer."""
        self.user, self.token, self.refresh = (answer.json[name] for name in ("user", "accessToken", "refreshToken"))
        self.id = self.user["id"]

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return self.client.open(f"/api/v1{path}", method=method, headers=headers, **more)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.call("GET", path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.call("POST", path, json={} if json is None else json, **more)


def code_of(answer: TestResponse) -> str:
    """Return the code of a refusal."""
    return answer.json["error"]["code"]
