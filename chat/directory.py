"""Users by number and by wire id, kept in the process: the pair never changes, so nothing here can go stale."""

from collections import OrderedDict
from collections.abc import Iterable

from sqlalchemy import Engine, select

from chat.errors import ChatError
from chat.models import User

__all__ = ["Directory"]

KEPT = 100_000  # pairs; about 25 MB, the active users of a large site


class Directory:
    """Maps users' numbers to wire ids and back; asks the database for what it does not know yet."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._public: OrderedDict[int, str] = OrderedDict()
        self._number: dict[str, int] = {}

    def known_number(self, public_id: str) -> int | None:
        """Return a user's number if it is known here, without asking anybody."""
        return self._number.get(public_id)

    def number(self, public_id: str) -> int:
        """Return a user's number. Raises ChatError unknown_user."""
        known = self._number.get(public_id)
        if known is not None:
            return known
        with self._engine.connect() as connection:
            found = connection.execute(select(User.id).where(User.public_id == public_id)).scalar()
        if found is None:
            raise ChatError("unknown_user")
        self.learn(found, public_id)
        return found

    def public_ids(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the wire ids of these users; who does not exist is left out."""
        wanted = set(numbers)
        missing = [number for number in wanted if number not in self._public]
        if missing:
            with self._engine.connect() as connection:
                for number, public_id in connection.execute(select(User.id, User.public_id).where(User.id.in_(missing))):
                    self.learn(number, public_id)
        return {number: self._public[number] for number in wanted if number in self._public}

    def learn(self, number: int, public_id: str) -> None:
        """Keep a pair that somebody has just read or made."""
        self._public[number] = public_id
        self._number[public_id] = number
        if len(self._public) > KEPT:
            _, forgotten = self._public.popitem(last=False)
            self._number.pop(forgotten, None)
