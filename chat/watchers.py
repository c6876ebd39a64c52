"""Which sessions of this process watch whose presence; and how one is told to, from whatever process it is asked of.

A poll's client asks over REST, where its session may be in another process: then all are told, and the one that has the
session sees to it. Pure.
"""

from collections.abc import Iterable

from chat.frames import Caller, Event
from chat.session import Session

__all__ = ["SESSION", "Watchers", "watch_event"]

SESSION = "s"  # scope of an event between processes that is for one session's process, and for no client


class Watchers(dict[int, set[Session]]):
    """The sessions that watch a user, by the user's number. Whom nobody watches is not in it."""

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
