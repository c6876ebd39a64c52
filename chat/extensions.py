"""Flask extensions, unbound: `create_app` binds them, modules import them without a cycle."""

from typing import Any

from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase

__all__ = ["Base", "db", "migrate"]


class Base(DeclarativeBase):
    """Declarative base of every table."""

    type_annotation_map: dict[Any, Any] = {}


db = SQLAlchemy(model_class=Base)
migrate = Migrate()
