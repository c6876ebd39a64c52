"""Who is here: users with sessions in this process, and those of a conversation, behind its gate. The hub acts."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from chat.frames import Event
from chat.gate import Gate
from chat.session import Session

__all__ = ["NOWHERE", "Audience", "LocalUser"]

LATEST = 2**62  # stands for an entry after all others
EMPTY: frozenset[int] = frozenset()  # shared: a set of one's own is 216 bytes for each who is connected, though empty
NOWHERE: Mapping[int, int] = MappingProxyType({})  # as well


class LocalUser:
    """A user with sessions in this process. All of the user's own changes up to `change` are known here.

    `unheard`: those of the conversations that they were found in, without a word yet of how they came into it, and the
    change from which on they are told what is said there.
    """

    __slots__ = ("_ahead", "change", "conversations", "id", "peers", "public_id", "sessions", "unheard")

    def __init__(self, user_id: int, public_id: str, change: int = 0):
        self.id = user_id
        self.public_id = public_id
        self.change = change
        self._ahead = EMPTY  # told while an earlier one is not known; the tail ends that in seconds
        self.sessions: list[Session] = []
        self.conversations: set[int] = set()
        self.unheard = NOWHERE
        self.peers: set[int] = set()

    def heard(self, change: int) -> None:
        """Note that one of the user's own changes was told here: one that comes later hides none that is lost."""
        if change > self.change:
            self._ahead |= {change}
            self.known(self.change)

    def known(self, change: int) -> None:
        """Note that everything up to a change is known here."""
        self.change = max(self.change, change)
        while self.change + 1 in self._ahead:
            self.change += 1
        self._ahead = frozenset(ahead for ahead in self._ahead if ahead > self.change) or EMPTY

    def found_in(self, conversation_id: int, since: int) -> None:
        """Note that they turn out to be in a conversation, and are told what is said there from this change on."""
        self.unheard = {**self.unheard, conversation_id: since}

    def knows_how(self, conversation_id: int) -> None:
        """Note that the word of how they came into a conversation is told, or of no more use."""
        if conversation_id in self.unheard:
            self.unheard = {one: since for one, since in self.unheard.items() if one != conversation_id} or NOWHERE

    def lacks(self, conversation_id: int, change: int) -> bool:
        """Tell whether a change in which they came into a conversation was told before they were found there."""
        return change < self.unheard.get(conversation_id, 0)


class Audience:
    """The local members of a conversation. `early` holds events that wait for the member list to be read; `seq` is the
    last entry handed to them, 0 before the first; `wanted` a change that the database is known to hold. Of who is in
    `floors` the database told up to which entry nothing is theirs; of who is in `came` it was not asked: they were let
    in by this entry, and whether they may see an older one is not known.
    """

    __slots__ = ("came", "early", "filling", "floors", "gate", "id", "seq", "users", "version", "wanted")

    def __init__(self, conversation_id: int, change: int, version: int):
        self.id = conversation_id
        self.gate = Gate(change)
        self.version = version
        self.seq = 0
        self.users: dict[int, LocalUser] = {}
        self.floors: dict[int, int] | None = None
        self.came: dict[int, int] | None = None
        self.early: list[Event] | None = None
        self.filling = False
        self.wanted = 0

    @property
    def behind(self) -> bool:
        """Whether something that was committed has not come through the gate yet."""
        return bool(self.gate.early) or self.gate.last < self.wanted

    def follow(self, event: Event, here: Mapping[int, LocalUser]) -> bool:
        """Bring the members to the event's version if the event says how; else they have to be read."""
        if event.members:
            self.take_members(event.version, event.members, here, event.seq or LATEST)
        elif event.version == self.version + 1 and (event.added or event.removed):
            self.version = event.version
            self._change(event.removed, event.added, here, event.seq or LATEST)
        else:
            return False
        return True

    def may_tell(self, seq: int) -> bool:
        """Tell whether it is known of each member here if they may see an entry."""
        return not self.came or all(seq >= since for since in self.came.values())

    def take_members(
        self, version: int, members: Iterable[int], here: Mapping[int, LocalUser], since: int = LATEST
    ) -> None:
        """Take the whole list of members at a version; only those who are `here` count. Who is new came by `since`."""
        current = set(members)
        gone = [user_id for user_id in self.users if user_id not in current]
        come = current if len(current) < len(here) else [user for user in here if user in current]
        self._change(gone, come, here, since)
        self.version = max(self.version, version)

    def take_list(self, version: int, members: Mapping[int, int], here: Mapping[int, LocalUser]) -> None:
        """Take the list as it was read, each with their floor; what waited for it is told next.

        Who is new in it may have been let in long ago, and nobody told of it here.
        """
        known = set(self.users).union(*(event.members or event.added for event in self.early or ()))
        self.take_members(version, members, here)
        self.floors = {number: floor for number, floor in members.items() if floor and number in self.users} or None
        self.came = None
        since = self.early[0].change if self.early else self.gate.last + 1
        for number in self.users.keys() - known:
            self.users[number].found_in(self.id, since)

    def let_in(self, user: LocalUser, floor: int) -> None:
        """Count a user among the members, of whom the database was asked."""
        self.forget(user.id)
        self.users[user.id] = user
        user.conversations.add(self.id)
        if floor:
            self.floors = self.floors or {}
            self.floors[user.id] = floor

    def forget(self, user_id: int) -> LocalUser | None:
        """Count a user no more among the members here. Returns who it was."""
        for known in (self.floors, self.came):
            if known:
                known.pop(user_id, None)
        return self.users.pop(user_id, None)

    def _change(self, gone: Iterable[int], come: Iterable[int], here: Mapping[int, LocalUser], since: int) -> None:
        for user_id in gone:
            user = self.forget(user_id)
            if user is not None:
                user.conversations.discard(self.id)
                user.knows_how(self.id)
        for user_id in come:
            if user_id in here and self.users.get(user_id) is not here[user_id]:
                self.users[user_id] = here[user_id]
                here[user_id].conversations.add(self.id)
                self.came = self.came or {}
                self.came[user_id] = since
