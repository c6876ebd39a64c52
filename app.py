"""The application: `create_app` puts the parts together; `python app.py` starts a whole server on this machine."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

__all__ = ["create_app"]


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the application by the environment's settings, over which `config` goes. It connects to nothing yet.

    Raises ConfigError when a setting is missing or makes no sense.
    """
    # Imported here, because the launcher below is this same file and needs none of it: a second and 100 MB less.
    from chat import cli, routes, transports
    from chat.config import load
    from chat.extensions import db, migrate
    from chat.node import Node
    from uploads import routes as uploads

    app = Flask(__name__, static_folder=None)
    app.config.from_mapping(load(config))
    app.config["SQLALCHEMY_DATABASE_URI"] = app.config["DATABASE_URL"]
    db.init_app(app)
    migrate.init_app(app, db)
    app.extensions["chat.node"] = Node(app.config)
    for blueprint in routes.blueprints():
        app.register_blueprint(blueprint)
    app.register_blueprint(uploads.blueprint)
    app.register_blueprint(cli.blueprint)
    transports.mount_all(app)
    return app


if __name__ == "__main__":
    from chat.launcher.supervisor import main

    main()
