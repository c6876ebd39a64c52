import orjson

from chat.position_batch import LAST, Batch, Reading


class Waiting:
    def __init__(self):
        self.answers = []

    def set(self, value):
        self.answers.append(value)


def reading(seq, origin="s1"):
    made = Reading(seq, origin)
    made.waiters.append(Waiting())
    return made


def test_a_batch_names_every_member_once_in_the_order_of_the_locks():
    batch = Batch({(2, 9): reading(4), (1, 3): reading(None)}, {(2, 9): 7, (1, 1): 5}, {(3, 1): 2})
    assert len(batch) == 4
    assert orjson.loads(batch.encoded()) == [
        {"c": 1, "u": 1, "d": 5, "r": None, "p": None},
        {"c": 1, "u": 3, "d": None, "r": LAST, "p": None},
        {"c": 2, "u": 9, "d": 7, "r": 4, "p": None},
        {"c": 3, "u": 1, "d": None, "r": None, "p": 2},
    ]


def test_no_seq_and_a_seq_beyond_what_the_database_holds_mean_the_last_entry():
    assert Reading(None, "").seq == Reading(2**63 - 1, "").seq == LAST


def test_merged_readings_go_as_far_as_the_further_and_answer_everybody():
    first, second = reading(5), reading(3)
    waiters = [*first.waiters, *second.waiters]
    first.merge(second)
    first.answer({"readSeq": 5})
    assert first.seq == 5
    assert [waiter.answers for waiter in waiters] == [[{"readSeq": 5}], [{"readSeq": 5}]]


def test_the_origin_is_left_out_only_while_it_is_one_session():
    first = reading(5)
    first.merge(reading(6))
    assert first.origin == "s1"
    first.merge(reading(7, "s2"))
    assert first.origin == ""


def test_halves_hold_together_what_the_whole_held():
    batch = Batch({(1, 1): reading(1), (1, 2): reading(2)}, {(1, 2): 2, (1, 3): 3})
    low, high = batch.halves()
    assert {**low.readings, **high.readings} == batch.readings
    assert {**low.delivered, **high.delivered} == batch.delivered
    assert len(low) == 1
    assert len(high) == 2
