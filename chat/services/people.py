"""Users as other rules need them: number, wire id and the name that stands in a notice's sentence."""

from collections.abc import Collection
from typing import NamedTuple

from chat.errors import ChatError
from chat.transaction import Transaction

__all__ = ["Person", "named", "one", "the_caller"]


class Person(NamedTuple):
    """A user's number, wire id and name."""

    id: int
    public_id: str
    name: str


def named(tx: Transaction, public_ids: Collection[str], field: str) -> list[Person]:
    """Return these users by number, each once. Raises ChatError invalid with `details` {field: the unknown ids}."""
    found = [Person._make(row) for row in tx.execute(BY_PUBLIC_IDS, {"ids": list(public_ids)})]
    unknown = set(public_ids) - {person.public_id for person in found}
    if unknown:
        raise ChatError("invalid", "Some of these users do not exist.", details={field: sorted(unknown)})
    return found


def one(tx: Transaction, public_id: str) -> Person:
    """Return a user. Raises ChatError unknown_user."""
    row = tx.execute(BY_PUBLIC_IDS, {"ids": [public_id]}).first()
    if row is None:
        raise ChatError("unknown_user")
    return Person._make(row)


def the_caller(tx: Transaction, user_id: int) -> Person:
    """Return the user of this number. Raises ChatError unknown_user if the account is gone."""
    row = tx.execute("SELECT id, public_id, name FROM users WHERE id = :id", {"id": user_id}).first()
    if row is None:
        raise ChatError("unknown_user")
    return Person._make(row)


BY_PUBLIC_IDS = "SELECT id, public_id, name FROM users WHERE public_id = ANY(:ids) ORDER BY id"
