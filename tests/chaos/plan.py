"""The plan of a run, made of its seed alone: who is there, what they do, and what breaks when. Pure."""

import random
from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "KINDS", "OF_GROUPS", "SECONDS", "SHAPES", "STAGED", "VERBS", "Act", "Fault", "Plan", "Room", "Seat", "Shape",
    "make_plan", "told",
]  # fmt: skip

SECONDS = 4.0  # of talk and faults, before everything is healed: as much as a handful of faults need to overlap
CARRIERS = ("websocket", "poll", "stream")
PAUSE = 0.3  # seconds, on the average, between two acts of a device


class Shape(NamedTuple):
    """A deployment: web servers, and workers of each."""

    webs: int
    workers: int


SHAPES = (Shape(1, 1), Shape(2, 1), Shape(1, 2), Shape(2, 2), Shape(1, 4))

KINDS: Mapping[str, tuple[float, float]] = {  # what breaks, and for how many seconds at least and at most
    "kill a worker": (0, 0),
    "end a worker": (0, 0),
    "freeze a worker": (0.1, 3.0),
    "kill a web server": (0.1, 1.5),
    "restart a web server": (0, 0.5),
    "kill Redis": (0.05, 2.5),
    "restart Redis": (0, 0.5),
    "set Redis back": (0.3, 2.0),
    "empty Redis": (0.05, 1.0),
    "freeze Redis": (0.1, 3.0),
    "flush Redis": (0, 0),
    "evict logs": (0, 0),
    "evict keys": (0, 0),
    "end subscriptions": (0, 0),
    "pause Redis": (0.1, 2.5),
    "pause writes to Redis": (0.1, 2.5),
    "kill PostgreSQL": (0.05, 2.0),
    "restart PostgreSQL": (0, 0.5),
    "kill a backend": (0, 0),
    "end a writer": (0, 0),
    "freeze a backend": (0.1, 3.0),
    "cut devices": (0, 0),
    "cut a worker from Redis": (0.1, 3.0),
    "slow a worker's Redis": (0.5, 3.0),
    "silence a worker's Redis": (0.3, 3.0),
    "cut a worker from PostgreSQL": (0.1, 2.0),
    "slow a worker's PostgreSQL": (0.5, 3.0),
    "silence a worker's PostgreSQL": (0.3, 3.0),
    "kill Celery": (0.1, 1.0),
}

VERBS: Mapping[str, int] = {  # what a device does, and how often
    "send": 36,  # with a localId, until it is answered
    "burst": 12,  # several of them, none of which waits for the one before
    "image": 5,  # an upload, then a message with it
    "send bare": 8,  # without a localId, once
    "resend": 6,  # what was acked before
    "conflict": 2,  # another content under a localId that was acked
    "read": 9,
    "read many": 3,
    "delivered": 2,
    "history": 6,
    "list": 3,
    "refresh": 3,
    "unread": 3,
    "typing": 2,
    "watch": 2,
    "move": 6,
    "clear": 2,
    "set": 3,  # pinned, silent or hidden
    "remove": 2,
    "add": 4,
    "leave": 1,
    "join": 4,
    "change": 3,  # a group's name or who may join
    "role": 2,
    "transfer": 1,
    "mute": 2,
    "found": 2,  # a group of one's own
    "end": 1,  # the same
}
OF_GROUPS = {"remove", "add", "leave", "join", "change", "role", "transfer", "mute", "found", "end"}
STAGED = {"away", "flood", "go", "vanish"}  # what takes several, and is therefore no matter of each one's luck
ABSENT = 0.5  # of the plans: in so many somebody stays away while more is written than one batch holds
GONE = 0.2  # in so many somebody goes for good
FLOOD = (60, 160)  # messages: more than a batch of 50, and fewer than a log's 200


class Room(NamedTuple):
    """A group: its owner and its first members by their places among the people, and what a new member sees."""

    owner: int
    members: tuple[int, ...]
    history: str


class Seat(NamedTuple):
    """A device: whose, on which carrier, at which web server."""

    person: int
    carrier: str
    web: int


class Act(NamedTuple):
    """What a device does `at` so many seconds: where (`g0`: the first group, `u2`: in private with the third person).

    `number` is of messages, or whom it concerns, or the seat whose flood is waited for; `carrier` and `web` are where
    it moves.
    """

    at: float
    seat: int
    verb: str
    place: str
    number: int
    carrier: str
    web: int


class Fault(NamedTuple):
    """What breaks `at` so many seconds and for how long; `pick` chooses the victim among those that are there."""

    at: float
    kind: str
    lasting: float
    pick: int


class Plan(NamedTuple):
    """Everything that is random of a run."""

    seed: int
    shape: Shape
    seconds: float
    people: int
    rooms: tuple[Room, ...]
    seats: tuple[Seat, ...]
    acts: tuple[Act, ...]
    faults: tuple[Fault, ...]


def make_plan(seed: int, seconds: float = SECONDS, shape: Shape | None = None) -> Plan:
    """Return the plan of a seed. `shape`: another deployment than the seed's own."""
    chance = random.Random(seed)
    own = chance.choice(SHAPES)
    shape = shape or own
    people = chance.randint(2, 8)
    rooms = tuple(_room(chance, people) for _ in range(chance.randint(1, 3)))
    seats = tuple(_seat(chance, person, shape) for person in range(people) for _ in range(chance.choice((1, 1, 2, 3))))
    acts = [act for number in range(len(seats)) for act in _acts(chance, number, seats, rooms, people, seconds, shape)]
    faults = _faults(random.Random(f"faults {seed}"), seconds)  # the same ones, however much is said meanwhile
    acts += _staged(random.Random(f"floods {seed}"), seats, rooms, people, seconds)
    return Plan(seed, shape, seconds, people, rooms, seats, tuple(sorted(acts)), faults)


def told(plan: Plan) -> str:
    """Return the plan as a person reads it, in the order of time."""
    lines = [
        f"seed {plan.seed}: {plan.shape.webs} web servers of {plan.shape.workers} workers, {plan.people} people",
        *(f"g{number}: {room}" for number, room in enumerate(plan.rooms)),
        *(f"d{number}: {seat}" for number, seat in enumerate(plan.seats)),
    ]
    events: list[tuple[float, str]] = [(fault.at, f"!! {fault.kind} for {fault.lasting} s, pick {fault.pick}")
                                       for fault in plan.faults]  # fmt: skip
    events += [(act.at, f"d{act.seat} {act.verb} {act.place} {act.number} {act.carrier} {act.web}")
               for act in plan.acts]  # fmt: skip
    return "\n".join([*lines, *(f"{at:6.3f} {text}" for at, text in sorted(events))]) + "\n"


def _room(chance: random.Random, people: int) -> Room:
    owner = chance.randrange(people)
    others = [person for person in range(people) if person != owner]
    members = chance.sample(others, chance.randint(1, len(others)))
    return Room(owner, tuple(sorted(members)), chance.choice(("all", "joined")))


def _seat(chance: random.Random, person: int, shape: Shape) -> Seat:
    return Seat(person, chance.choice(CARRIERS), chance.randrange(2) % shape.webs)


def _acts(
    chance: random.Random, number: int, seats: tuple[Seat, ...], rooms: tuple[Room, ...], people: int,
    seconds: float, shape: Shape,
) -> list[Act]:  # fmt: skip
    me = seats[number].person
    found = []
    at = chance.expovariate(1 / PAUSE)
    while at < seconds:
        verb = chance.choices(list(VERBS), list(VERBS.values()))[0]
        place = (
            _group(chance, me, rooms) if verb in OF_GROUPS or chance.random() < 0.6 else f"u{chance.randrange(people)}"
        )
        count = chance.randrange(people) if verb in OF_GROUPS else chance.randint(2, 5)
        carrier, web = chance.choice(CARRIERS), chance.randrange(2) % shape.webs
        found.append(Act(round(at, 3), number, verb, place, count, carrier, web))
        at += chance.expovariate(1 / PAUSE)
    return found


def _staged(
    chance: random.Random, seats: tuple[Seat, ...], rooms: tuple[Room, ...], people: int, seconds: float
) -> list[Act]:
    """Return an absence, and somebody's going for good, each in some of the plans."""
    found = []
    if chance.random() < ABSENT:
        away, floods = chance.sample(range(len(seats)), 2)
        place = _meeting(chance, seats[floods].person, seats[away].person, rooms)
        at = round(chance.uniform(0.05, seconds / 2), 3)
        found.append(Act(at, away, "away", place, floods, seats[away].carrier, seats[away].web))
        found.append(Act(at, floods, "flood", place, chance.randint(*FLOOD), seats[floods].carrier, seats[floods].web))
    if chance.random() < GONE:
        gone, at, verb = (
            chance.randrange(people),
            round(chance.uniform(0.1, seconds), 3),
            chance.choice(("go", "vanish")),
        )
        theirs = [number for number, seat in enumerate(seats) if seat.person == gone]
        found += [Act(at, number, verb, f"u{gone}", 0, seats[number].carrier, seats[number].web) for number in theirs]
    return found


def _meeting(chance: random.Random, one: int, other: int, rooms: tuple[Room, ...]) -> str:
    """Return where one may write to the other: in private, or in a group that both begin in."""
    shared = [place for place, room in enumerate(rooms) if {one, other} <= {room.owner, *room.members}]
    return chance.choice([f"u{other}", *(f"g{place}" for place in shared)])


def _group(chance: random.Random, me: int, rooms: tuple[Room, ...]) -> str:
    """Return one of somebody's groups, now and then one that they are not in."""
    own = [place for place, room in enumerate(rooms) if me == room.owner or me in room.members]
    if not own or chance.random() < 0.1:
        own = list(range(len(rooms)))
    return f"g{chance.choice(own)}"


def _faults(chance: random.Random, seconds: float) -> tuple[Fault, ...]:
    """Return two to six faults; they may overlap, and what they break may be broken already."""
    found = []
    for _ in range(chance.randint(2, 6)):
        kind = chance.choice(list(KINDS))
        lasting = round(chance.uniform(*KINDS[kind]), 3)
        found.append(Fault(round(chance.uniform(0.2, seconds), 3), kind, lasting, chance.randrange(1_000_000)))
    return tuple(sorted(found))
