"""The migrations make the very tables that the models tell of, down to what the planner and a crash make of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from chat import models
from chat.extensions import Base

TABLES = """
SELECT relname, relpersistence, reloptions FROM pg_class
WHERE relnamespace = to_regnamespace(:schema) AND relkind = 'r' ORDER BY relname
"""
COLUMNS = """
SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, collname,
    pg_get_expr(adbin, adrelid)
FROM pg_class
JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
LEFT JOIN pg_collation ON pg_collation.oid = attcollation
WHERE relnamespace = to_regnamespace(:schema) AND relkind = 'r' ORDER BY relname, attname
"""
INDEXES = (
    "SELECT replace(indexdef, schemaname || '.', '') AS def FROM pg_indexes WHERE schemaname = :schema ORDER BY def"
)
CHECKS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) AS def FROM pg_constraint
WHERE connamespace = to_regnamespace(:schema) AND contype NOT IN ('p', 'u') ORDER BY conname
"""


@pytest.fixture
def migrated(database_url: str) -> Iterator[Connection]:
    """A connection to the migrated database. What a test changes is rolled back."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def catalog(connection: Connection, query: str, schema: str) -> list[tuple[Any, ...]]:
    """Return what PostgreSQL holds of a schema's tables, without the migrations' own."""
    rows = connection.execute(text(query), {"schema": schema})
    return [tuple(row) for row in rows if not any("alembic_version" in str(value) for value in row)]


def test_there_is_nothing_that_a_new_migration_had_to_change(migrated: Connection) -> None:
    options = {"compare_type": True, "compare_server_default": True}
    assert compare_metadata(MigrationContext.configure(migrated, opts=options), Base.metadata) == []


@pytest.mark.parametrize("query", [TABLES, COLUMNS, INDEXES, CHECKS], ids=["tables", "columns", "indexes", "checks"])
def test_tables_made_from_the_models_are_those_of_the_migrations(migrated: Connection, query: str) -> None:
    migrated.execute(text("CREATE SCHEMA by_models"))
    migrated.execute(text("SET LOCAL search_path TO by_models"))
    Base.metadata.create_all(migrated, checkfirst=False)
    by_models = catalog(migrated, query, "by_models")
    migrated.execute(text("SET LOCAL search_path TO public"))
    assert by_models != []
    assert catalog(migrated, query, "public") == by_models


def test_every_table_has_a_model_that_other_modules_may_name() -> None:
    exported = {getattr(models, name).__tablename__ for name in models.__all__}
    assert exported == set(Base.metadata.tables)
