"""Whose presence concerns which sessions of this process: those who watch, and private peers.

A poll's client asks over REST to watch, where its session may be in another process: then all are told, and the one
that has the session sees to it. Pure.
"""

from collections.abc import Iterable

from chat.audience import LocalUser
from chat.frames import Caller, Event
from chat.session import Session

__all__ = ["SESSION", "Watchers", "watch_event"]

SESSION = "s"  # scope of an event between processes that is for one session's process, and for no client


class Watchers(dict[int, set[Session]]):
    """The sessions that watch a user, by the user's number. Whom nobody watches is not in it.

    `peers`: the users here who have a private conversation with somebody, by the number of that one.
    """

    def __init__(self) -> None:
        self.peers: dict[int, dict[int, LocalUser]] = {}

    def pair(self, user: LocalUser, peer_id: int) -> None:
        """Let a user's sessions hear of somebody they have a private conversation with."""
        user.peers.add(peer_id)
        self.peers.setdefault(peer_id, {})[user.id] = user

    def part(self, user: LocalUser) -> None:
        """Forget a user whose last session here has ended."""
        for peer in user.peers:
            del self.peers[peer][user.id]
            if not self.peers[peer]:
                del self.peers[peer]

    def concerned(self, user_id: int) -> set[Session]:
        """Return the sessions that are to hear of a user."""
        peers = self.peers.get(user_id, {}).values()
        return self.get(user_id, set()).union(*(peer.sessions for peer in peers))

    def watch(self, session: Session, watched: Iterable[int]) -> None:
        """Make a session a watcher of exactly these users."""
        wanted = set(watched)
        for user_id in (session.watching or set()) - wanted:
            self._unwatch(user_id, session)
        for user_id in wanted:
            self.setdefault(user_id, set()).add(session)
        session.watching = wanted

    def leave(self, session: Session) -> None:
        """Forget a session."""
        for user_id in session.watching or ():
            self._unwatch(user_id, session)

    def _unwatch(self, user_id: int, session: Session) -> None:
        watching = self.get(user_id)
        if watching is not None:
            watching.discard(session)
            if not watching:
                del self[user_id]


def watch_event(caller: Caller, watched: Iterable[int]) -> Event:
    """Return the event that makes the caller's session a watcher. Only a session of the caller's own user obeys it."""
    data = {"users": list(watched)}
    return Event.of("presence.watch", data, SESSION, caller.user_id, origin=caller.session_id, logged=False)
