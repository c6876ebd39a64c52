from chat.broker import Batch
from chat.bus import LOGIN_ENDED, Bus
from chat.frames import CONVERSATION, USER, Event

ME, OTHER = "me", "other"


class Recorder:
    """Stands for the log, the hub and the tail, and remembers what it was given."""

    def __init__(self, takes=True):
        self.awaited = {}
        self.epoch = "e-1"
        self.takes = takes
        self.offered, self.remembered, self.flushed, self.published = [], [], 0, []
        self.sessions, self.began, self.looks, self.behind = {}, 0.0, 0, False

    def add(self, events):
        self.published += events
        return self.takes

    def doubt(self):
        self.epoch = None

    def connect(self):
        return 7

    def offer(self, event):
        self.offered.append(event.data)

    def told(self, events):
        self.remembered += [event.change for event in events]

    def flush(self):
        self.flushed += 1

    def waiting(self):
        return []

    def lagging(self):
        return self.behind

    def look_soon(self):
        self.looks += 1


def bus(takes=True):
    all_of_it = Recorder(takes)
    ended = []
    return Bus(None, {"REDIS_PREFIX": ""}, ME, all_of_it, all_of_it, all_of_it, ended.extend), all_of_it, ended


def event(change, name="message", scope=CONVERSATION):
    return Event.of(name, {"change": change}, scope, 5, change=change)


def batch(process, before, events, number=1):
    lines = [line for one in events for line in (one.header(), one.raw)]
    first = f"1 e {process} {number} {before} {len(events)}".encode()
    return Batch(b"\n".join([first, *lines]))


def test_what_others_told_is_offered_remembered_and_sent():
    tested, seen, _ = bus()
    tested._heard(batch(OTHER, 10, [event(1), event(2)]))
    assert seen.offered == [{"change": 1}, {"change": 2}]
    assert seen.remembered == [1, 2]
    assert (seen.flushed, tested.n()) == (1, 12)


def test_own_events_are_numbered_and_not_delivered_again():
    tested, seen, _ = bus()
    mine = [event(1), event(2)]
    seen.awaited[3] = mine
    tested._heard(batch(ME, 20, [], number=3))
    assert [one.n for one in mine] == [21, 22]
    assert (seen.offered, seen.awaited) == ([], {})


def test_a_login_that_ended_elsewhere_ends_here_and_reaches_no_session():
    tested, seen, ended = bus()
    tested._heard(batch(OTHER, 0, [Event.of(LOGIN_ENDED, {"login": 42}, USER, 0, logged=False)]))
    assert (ended, seen.offered) == ([42], [])


def test_what_redis_does_not_take_is_left_to_the_tail():
    for takes, remembered in ((True, [4]), (False, [])):
        tested, seen, _ = bus(takes)
        tested.publish([event(4)])
        assert seen.remembered == remembered


def test_a_new_subscription_begins_at_the_counter():
    tested, seen, _ = bus()
    tested._heard(batch(OTHER, 100, [event(1)]))
    tested._subscribed()
    assert (tested.n(), seen.looks) == (7, 1)


def test_where_somebody_listens_nothing_counts_as_heard_until_the_tail_has_looked():
    tested, seen, _ = bus()
    tested._subscribed()
    tested._heard(batch(OTHER, 7, [event(1)]))
    seen.sessions["s"] = object()
    seen.epoch = "e-2"
    tested._subscribed()
    assert tested.n() == 0
    seen.began, seen.behind = float("inf"), True
    assert tested.n() == 0
    seen.behind = False
    assert tested.n() == 7
