"""Commands for whoever runs the server: `flask --app app <command>`."""

import io
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask import Blueprint, current_app
from sqlalchemy import text

from chat import demo, papers
from chat.errors import ChatError
from chat.services import accounts, logins
from chat.services.accounts import Account
from chat.services.users import the_user
from chat.transaction import Transaction, run_in_transaction

__all__ = ["blueprint"]

blueprint = Blueprint("cli", __name__, cli_group=None)
DOCS = Path(__file__).resolve().parent.parent / "docs"


@blueprint.cli.command("demo")
def demo_command() -> None:
    """Fill in a few users, groups and messages, and say how to log in."""
    demo.fill_in(_node(), _upload)
    click.echo(f"Log in as {', '.join(demo.PEOPLE)}; the password is {demo.PASSWORD} for all of them.")


@blueprint.cli.command("create-token")
@click.argument("user")
@click.option("--name", default="", help="What the list of logins shows.")
def create_token(user: str, name: str) -> None:
    """Print a token of USER (user name or id), good for TOKEN_DAYS days, that can be ended like any login."""
    node = _node()

    def work(tx: Transaction) -> logins.Opened:
        return logins.open_login(tx, _account(tx, user), logins.TOKEN, name or "command line")

    try:
        opened = run_in_transaction(node.engine, node, work)
    except ChatError as error:
        raise click.ClickException(error.message) from error
    life = timedelta(days=node.config["TOKEN_DAYS"])
    click.echo(node.auth.tokens.make(opened.public_id, opened.login_id, life))


@blueprint.cli.command("new-generation")
def new_generation() -> None:
    """Say that this database was restored, so that clients fetch anew. The web servers must be stopped meanwhile."""
    node, generation = _node(), secrets.token_hex(16)
    with node.engine.begin() as connection:
        connection.execute(text("UPDATE deployment SET generation = :generation"), {"generation": generation})
    prefix = node.config["REDIS_PREFIX"]
    for key in node.redis.scan_iter(f"{prefix}log:*", count=1_000):  # they know of changes that are no more
        node.redis.delete(key)
    node.redis.delete(f"{prefix}event:epoch")
    click.echo("Every cursor of before is in doubt now. Start the web servers.")


@blueprint.cli.command("docs")
def docs() -> None:
    """Write docs/settings.md and docs/errors.md from the code."""
    for name, content in papers.papers().items():
        (DOCS / name).write_text(content)
        click.echo(f"docs/{name}")


def _upload(username: str, picture: bytes) -> str | None:
    """Upload a picture of the demo by the same door as everybody."""
    client = current_app.test_client()
    login = client.post("/api/v1/auth/login", json={"username": username, "password": demo.PASSWORD})
    headers = {"Authorization": f"Bearer {login.json['accessToken']}"} if login.json else {}
    form = {"media": (io.BytesIO(picture), "lake.jpg")}
    answer = client.post("/api/v1/uploads", data=form, headers=headers)
    return str(answer.json["id"]) if answer.json and answer.status_code == 201 else None


def _account(tx: Transaction, user: str) -> Account:
    found = accounts.credentials(tx, user)
    if found is not None:
        return Account(found.user_id, found.public_id)
    row = the_user(tx, user)
    return Account(row.id, row.public_id)


def _node() -> Any:
    return current_app.extensions["chat.node"]
