"""Extensions are unbound: an import connects to nothing, and two applications share no state."""

from flask import Flask

from chat.extensions import Base, db, migrate
from chat.models import User


def test_the_tables_are_those_of_the_one_base() -> None:
    assert db.Model.metadata is Base.metadata is User.metadata
    assert migrate.db is None or migrate.db is db


def test_two_applications_have_engines_of_their_own() -> None:
    engines = []
    for name in ("one", "two"):
        app = Flask(name)
        app.config["SQLALCHEMY_DATABASE_URI"] = f"postgresql+psycopg://nobody@127.0.0.1:1/{name}"
        db.init_app(app)
        with app.app_context():
            engines.append(db.engine)
    assert [engine.url.database for engine in engines] == ["one", "two"]
