"""Users by number and wire id, private conversations by their users: kept in the process, for none of it changes."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, select, tuple_
from sqlalchemy.exc import SQLAlchemyError

from chat.errors import ChatError
from chat.models import Conversation, User

__all__ = ["Directory"]

KEPT = 100_000  # pairs; about 25 MB, the active users of a large site


class Directory:
    """Maps users' numbers to wire ids and back; asks the database for what it does not know yet."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._public: OrderedDict[int, str] = OrderedDict()
        self._number: dict[str, int] = {}
        self._private: OrderedDict[tuple[int, int], int] = OrderedDict()

    def known_number(self, public_id: str) -> int | None:
        """Return a user's number if it is known here, without asking anybody."""
        return self._number.get(public_id)

    def number(self, public_id: str) -> int:
        """Return a user's number. Raises ChatError: unknown_user, or overloaded if the database cannot be asked."""
        known = self._number.get(public_id)
        if known is not None:
            return known
        with self._reading() as connection:
            found = connection.execute(select(User.id).where(User.public_id == public_id)).scalar()
        if found is None:
            raise ChatError("unknown_user")
        self.learn(found, public_id)
        return found

    def public_ids(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the wire ids of these users; who does not exist is left out. May raise as `number`."""
        wanted = set(numbers)
        missing = [number for number in wanted if number not in self._public]
        if missing:
            with self._reading() as connection:
                found = select(User.id, User.public_id).where(User.id.in_(missing))
                for number, public_id in connection.execute(found):
                    self.learn(number, public_id)
        return {number: self._public[number] for number in wanted if number in self._public}

    def learn(self, number: int, public_id: str) -> None:
        """Keep a pair that somebody has just read or made."""
        self._public[number] = public_id
        self._number[public_id] = number
        if len(self._public) > KEPT:
            _, forgotten = self._public.popitem(last=False)
            self._number.pop(forgotten, None)

    def conversations(self, places: Iterable[tuple[int, int, int]]) -> dict[tuple[int, int, int], int]:
        """Return the numbers of these conversations, places as `parse_conversation` gives them.

        Private ones that do not exist are left out; a group's number is taken as it is. Proves no membership. Raises
        ChatError overloaded, as `number`.
        """
        wanted = set(places)
        missing = [(low, high) for group, low, high in wanted if not group and (low, high) not in self._private]
        if missing:
            self._learn_private(missing)
        found = {place: place[0] or self._private.get(place[1:], 0) for place in wanted}
        return {place: number for place, number in found.items() if number}

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Nothing is written: whatever goes wrong with the database, the same may be asked again."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise ChatError("overloaded", retry_after=1) from error

    def _learn_private(self, pairs: list[tuple[int, int]]) -> None:
        pair = tuple_(Conversation.low, Conversation.high)
        with self._reading() as connection:
            found = select(Conversation.low, Conversation.high, Conversation.id).where(pair.in_(pairs))
            for low, high, number in connection.execute(found):
                if low is not None and high is not None:
                    self._private[low, high] = number
        while len(self._private) > KEPT:
            self._private.popitem(last=False)
