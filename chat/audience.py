"""Who is here: users with sessions in this process, and those of a conversation, behind its gate. State only."""

from chat.frames import Event
from chat.gate import Gate
from chat.session import Session

__all__ = ["Audience", "LocalUser"]


class LocalUser:
    """A user with sessions in this process."""

    __slots__ = ("conversations", "id", "peers", "public_id", "sessions")

    def __init__(self, user_id: int, public_id: str):
        self.id = user_id
        self.public_id = public_id
        self.sessions: list[Session] = []
        self.conversations: set[int] = set()
        self.peers: set[int] = set()


class Audience:
    """The local members of a conversation. `early` holds events that wait for the member list to be read; `seq` is the
    last entry handed to them, 0 before the first; `wanted` a change that the database is known to hold.
    """

    __slots__ = ("early", "filling", "gate", "id", "seq", "users", "version", "wanted")

    def __init__(self, conversation_id: int, change: int, version: int):
        self.id = conversation_id
        self.gate = Gate(change)
        self.version = version
        self.seq = 0
        self.users: dict[int, LocalUser] = {}
        self.early: list[Event] | None = None
        self.filling = False
        self.wanted = 0

    @property
    def behind(self) -> bool:
        """Whether something that was committed has not come through the gate yet."""
        return bool(self.gate.early) or self.gate.last < self.wanted
