"""The extensions belong to no application until one binds them, and then to each its own database."""

import subprocess
import sys

from flask import Flask

import chat.models  # noqa: F401  (fills the metadata)
from chat.extensions import Base, db, migrate
from tests.chat.processes import ROOT


def bound(database: str) -> Flask:
    app = Flask(database)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"postgresql+psycopg://nobody@127.0.0.1/{database}"
    db.init_app(app)
    migrate.init_app(app, db)
    return app


def test_the_tables_that_migrations_look_at_are_those_of_the_models() -> None:
    assert db.metadata is Base.metadata
    assert "users" in db.metadata.tables
    assert bound("one").extensions["migrate"].db.metadata is Base.metadata


def test_two_applications_in_a_process_have_a_database_each() -> None:
    found = []
    for app in (bound("one"), bound("two")):
        with app.app_context():
            found.append(db.engine.url.database)
    assert found == ["one", "two"]


def test_they_can_be_imported_before_anything_else_of_this_project() -> None:
    code = "import sys, chat.extensions; print(sorted(name for name in sys.modules if name.startswith('chat')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['chat', 'chat.extensions']"
