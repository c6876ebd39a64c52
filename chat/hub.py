"""The sessions of this process, by user and by conversation, and the delivery of events to them in order.

Events of a conversation pass its gate and go to exactly the members of the version they were committed under: a
change of members is applied from the event that carries it, and where a version was skipped the list is read first.
So it is where an entry is told anew that may be older than a membership: the list says who may see it.
"""

from collections.abc import Callable, Iterable
from typing import Any

from chat.audience import Audience, LocalUser
from chat.frames import CONVERSATION, UPDATED, USER, Event
from chat.session import Carrier, Session
from chat.watchers import SESSION, Watchers

__all__ = ["Hub"]

BREATH = 500  # sockets written between two looks at everybody else: 4 ms
KEPT_WHILE_OPENING = 2_000  # events of conversations unknown here; beyond, how far they reach


class Hub:
    """Who is connected here. What needs the database is asked for: `fill` (a hole) and `members` (the list)."""

    def __init__(self, fill: Callable[[Audience], None], members: Callable[[Audience], None]):
        self.users: dict[int, LocalUser] = {}
        self.sessions: dict[str, Session] = {}
        self.audiences: dict[int, Audience] = {}
        self.watchers = Watchers()
        self.dirty: list[Carrier] = []  # carriers that took something since the last flush
        self.holding: set[Audience] = set()  # where something may wait
        self.opening = 0
        self.backlog = 0  # bytes in all outboxes
        self.slow: set[Any] = set()  # carriers with something in their outbox
        self._kept: list[Event] = []
        self._not_kept: dict[int, int] = {}  # beyond that: conversations, and up to which change
        self._begun: dict[int, set[int]] = {}  # whom conversations let in while sessions opened
        self._fill = fill
        self._members = members

    def enter(self, session: Session, change: int = 0) -> LocalUser:
        """Register a session, so that nothing told from now on passes it by; `change`: the user's own, as was read."""
        caller = session.caller
        user = self.users.get(caller.user_id)
        if user is None:
            user = self.users[caller.user_id] = LocalUser(caller.user_id, caller.public_id, change)
        user.sessions.append(session)
        self.sessions[session.id] = session
        return user

    def join(self, user: LocalUser, conversation_id: int, change: int, version: int, floor: int = 0) -> None:
        """Count a user among a conversation's members, as read from the database at (change, version).

        `floor` is the last entry that they may not see: where the room is behind, it may still be told.
        """
        audience = self.audiences.get(conversation_id)
        if audience is None:
            audience = self.audiences[conversation_id] = Audience(conversation_id, change, version)
        if audience.version <= version:
            audience.let_in(user, floor)
            if audience.version < version:
                self._ask_members(audience)
        elif user.id not in audience.users:
            self._ask_members(audience)

    def opened(self) -> None:
        """Offer again what came while sessions opened: for conversations unknown until now, or letting somebody in."""
        if self.opening:
            return
        kept, beyond, self._kept, self._not_kept, self._begun = self._kept, self._not_kept, [], {}, {}
        for conversation_id, change in beyond.items():
            self.expect(conversation_id, change)
        for event in kept:
            audience = self.audiences.get(event.target)
            if audience is None or not event.change or event.change > audience.gate.last:
                self.offer(event)
            elif any(user_id in self.users and user_id not in audience.users for user_id in event.added):
                self._ask_members(audience)

    def begun_with(self, user_id: int) -> set[int]:
        """Return the conversations that let a user in while sessions opened: the database may have been read before."""
        return {conversation for conversation, members in self._begun.items() if user_id in members}

    def leave(self, session: Session) -> None:
        """Forget a session, and its user's conversations with their last session here."""
        self.sessions.pop(session.id, None)
        self.watchers.leave(session)
        user = self.users.get(session.caller.user_id) if session.caller else None
        if user is None or session not in user.sessions:
            return
        user.sessions.remove(session)
        if not user.sessions:
            del self.users[user.id]
            for conversation_id in user.conversations:
                self._drop(conversation_id, user.id)
            self.watchers.part(user)

    def offer(self, event: Event) -> None:
        """Deliver an event to whom it concerns here, once it is its turn. `flush` sends."""
        if event.scope == CONVERSATION:
            self._offer_to_conversation(event)
        elif event.scope == USER:
            user = self.users.get(event.target)
            if user is not None:
                self._hand_to(user, event)
        elif event.scope == SESSION:
            self._watch(event)
        else:
            self._tell_watchers(event)

    def flush(self, breathe: Callable[[], None] | None = None) -> None:
        """Send what was left with the carriers since the last flush; `breathe` is called every 500 of them."""
        dirty, self.dirty = self.dirty, []
        for place, carrier in enumerate(dirty, 1):
            carrier.flush()
            if breathe is not None and not place % BREATH:
                breathe()

    def expect(self, conversation_id: int, change: int) -> None:
        """The database holds a conversation up to this change: have what was not told of it read and delivered."""
        audience = self.audiences.get(conversation_id)
        if audience is not None and audience.gate.last < change:
            audience.wanted = max(audience.wanted, change)
            self._ask_fill(audience)

    def reached(self, conversation_id: int, change: int) -> bool:
        """Tell whether everything up to a change was delivered here, or concerns nobody here."""
        audience = self.audiences.get(conversation_id)
        return audience is None or (audience.early is None and audience.gate.last >= change)

    def begin(self, conversation_id: int, after: int, change: int, pair: tuple[int, ...] = ()) -> None:
        """Open the room of a conversation that somebody here was not told of: what came after a change is read."""
        if conversation_id not in self.audiences:
            self._open_room(conversation_id, after, pair)
            self._pair_all(pair)
            self.expect(conversation_id, change)

    def lagging(self) -> bool:
        """Tell whether anything is known to be committed, or lacks before what came, and was not delivered yet."""
        return bool(self.holding) and any(audience.behind or audience.early for audience in self.holding)

    def filled(self, audience: Audience, events: list[Event], upto: int) -> None:
        """Take what the database holds after the gate's last change, complete up to change `upto`."""
        audience.filling = False
        if self.audiences.get(audience.id) is not audience:  # all had left; who came back since is in another room
            self.holding.discard(audience)
            return
        for event in audience.gate.fill(events, upto):
            self._deliver(audience, event)
        if audience.behind and not audience.filling:
            self._ask_fill(audience)

    def members_read(self, audience: Audience, version: int, members: Iterable[tuple[int, int]]) -> None:
        """Take the member list, (user, visible_from), valid for exactly this version, and deliver what waited for it.

        Who has come in meanwhile gets nothing that was written before.
        """
        floors = {user_id: visible_from for user_id, visible_from in members if user_id in self.users}
        audience.take_list(version, floors, self.users)
        early, audience.early = audience.early or [], None
        for event in early:
            if event.version > audience.version:
                self._deliver(audience, event)
            else:
                self._fan_out(audience, event)
        if not audience.users and audience.early is None:
            self.audiences.pop(audience.id, None)

    def waiting(self) -> Iterable[Event]:
        """Return the events that were offered and not delivered yet."""
        if not self.holding:  # asked for each poll
            return self._kept
        self.holding -= {audience for audience in self.holding if not (audience.behind or audience.early)}
        held = [event for each in self.holding for event in (*each.gate.early.values(), *(each.early or ()))]
        return [*held, *self._kept]

    def _offer_to_conversation(self, event: Event) -> None:
        audience = self.audiences.get(event.target) or self._arrival(event)
        if self.opening and (audience is None or event.added):
            self._keep(event)
        if event.added:
            self._let_in(event.target, event.added)
        if audience is None:
            return
        if not event.change:
            self._fan_out(audience, event)
            return
        if event.change <= audience.gate.last:
            self._take_in_late(audience, event)
        for ready in audience.gate.offer(event):
            self._deliver(audience, ready)
        if audience.gate.early:
            self._ask_fill(audience)

    def _keep(self, event: Event) -> None:
        if len(self._kept) < KEPT_WHILE_OPENING:
            self._kept.append(event)
        else:
            self._not_kept[event.target] = max(event.change, self._not_kept.get(event.target, 0))

    def _take_in_late(self, audience: Audience, event: Event) -> None:
        """Take in whom an event lets in that comes only now: a room made by one user's opening knows only that one."""
        named, here = event.members or event.added, self.users
        lacking = {n for n in event.added if n in here and here[n].lacks(event.target, event.change)}
        late = [here[n] for n in named if n in here and (n not in audience.users or n in lacking)]
        if late and event.private:
            self._pair_all(event.members)
        if any(waiting.change == event.change for waiting in audience.early or ()):
            return  # for the member list, in which they stand
        if late and (event.change < audience.gate.last or event.version < audience.version):
            self._ask_members(audience)
            event = Event.resync(0)  # what came in between, they have to ask for
        elif late:
            audience.take_members(event.version, [*audience.users, *(user.id for user in late)], self.users)
        for user in late:
            user.knows_how(event.target)
            self._hand_to(user, event)

    def _arrival(self, event: Event) -> Audience | None:
        """Open the room of a conversation when the event brings somebody in who is connected here."""
        members = event.members or event.added
        if event.change and any(member in self.users for member in members):
            # A private conversation that nobody here was in is new, and all of it is theirs.
            audience = self._open_room(event.target, 0 if event.private else event.change - 1, members)
            if event.private:
                self._pair_all(event.members)
            else:  # a message may come before the word that let them in, and more may have been said in between
                for number in {*members}.intersection(self.users).difference(event.added):
                    self.users[number].found_in(event.target, event.change)
            return audience
        return None

    def _open_room(self, conversation_id: int, after: int, members: Iterable[int]) -> Audience:
        """Make an audience whose members are still to be learnt."""
        self._let_in(conversation_id, members)
        audience = self.audiences[conversation_id] = Audience(conversation_id, after, -1)
        return audience

    def _let_in(self, conversation_id: int, members: Iterable[int]) -> None:
        if self.opening:
            self._begun.setdefault(conversation_id, set()).update(members)

    def _pair_all(self, members: tuple[int, ...]) -> None:
        for user_id in members:
            for peer_id in members:
                if user_id in self.users and peer_id != user_id:
                    self.watchers.pair(self.users[user_id], peer_id)

    def _deliver(self, audience: Audience, event: Event) -> None:
        if audience.early is not None:
            audience.early.append(event)
            self.holding.add(audience)
        elif (event.version <= audience.version or audience.follow(event, self.users)) and (
            event.name != UPDATED or audience.may_tell(event.seq)
        ):
            self._fan_out(audience, event)
        else:
            audience.early = [event]
            self.holding.add(audience)
            self._members(audience)

    def _drop(self, conversation_id: int, user_id: int) -> None:
        audience = self.audiences.get(conversation_id)
        if audience is not None:
            audience.forget(user_id)
            if not audience.users and audience.early is None:
                del self.audiences[conversation_id]

    def _fan_out(self, audience: Audience, event: Event) -> None:
        audience.seq = max(audience.seq, event.seq)
        floors = audience.floors
        for user in audience.users.values():
            if not floors or not event.seq or floors.get(user.id, 0) < event.seq:
                self._hand_to(user, event)

    def _hand_to(self, user: LocalUser, event: Event) -> None:
        origin = event.origin
        for session in user.sessions:
            if session.id != origin:
                session.push(event)

    def _watch(self, event: Event) -> None:
        session = self.sessions.get(event.origin)
        if session is not None and session.caller.user_id == event.target:
            self.watchers.watch(session, event.data["users"])

    def _tell_watchers(self, event: Event) -> None:
        for session in self.watchers.concerned(event.target):
            session.push(event)

    def _ask_fill(self, audience: Audience) -> None:
        if not audience.filling:
            audience.filling = True
            self.holding.add(audience)
            self._fill(audience)

    def _ask_members(self, audience: Audience) -> None:
        if audience.early is None:
            audience.early = []
            self._members(audience)
