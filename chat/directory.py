"""Users by number and wire id, private conversations by their users: kept in the process, for none of it changes."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TypeVarTuple

from sqlalchemy import Engine, Row, Select, select, tuple_
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from chat.errors import ChatError
from chat.models import Conversation, User

__all__ = ["Directory"]

Ts = TypeVarTuple("Ts")
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
        found = self._read(select(User.id).where(User.public_id == public_id))
        if not found:
            raise ChatError("unknown_user")
        number: int = found[0].id
        self.learn(number, public_id)
        return number

    def public_ids(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the wire ids of these users; who does not exist is left out. May raise as `number`."""
        wanted = set(numbers)
        missing = [number for number in wanted if number not in self._public]
        if missing:
            for number, public_id in self._read(select(User.id, User.public_id).where(User.id.in_(missing))):
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

    def _read(self, query: Select[*Ts], *, again: bool = True) -> Sequence[Row[*Ts]]:
        """Nothing is written: whatever goes wrong, the same may be asked again; here, if a connection died idle."""
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            if again and isinstance(error, DBAPIError) and error.connection_invalidated:
                return self._read(query, again=False)
            raise ChatError("overloaded", retry_after=1) from error

    def _learn_private(self, pairs: list[tuple[int, int]]) -> None:
        pair = tuple_(Conversation.low, Conversation.high)
        found = select(Conversation.low, Conversation.high, Conversation.id).where(pair.in_(pairs))
        for low, high, number in self._read(found):
            if low is not None and high is not None:
                self._private[low, high] = number
        while len(self._private) > KEPT:
            self._private.popitem(last=False)
