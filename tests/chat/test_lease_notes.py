from chat.lease_notes import Answer, Farewell, Lease, Lengths, Notes, Turn, oldest


def notes(entered=None, heard=None, left=None, told=None, again=None):
    return Notes(entered or {}, heard or {}, left or {}, told or {}, again or {})


def test_who_comes_is_said_before_who_goes_so_that_changing_sessions_is_no_turn():
    said = notes(
        entered={"s2": Lease("ann", 10.0)}, left={"s1": Farewell("ann", True, 9.0)}, heard={"s3": Lease("bob", 8.5)}
    ).operations(10.0)
    assert said == [["n", "ann", "s2"], ["e", "bob", "s3", 1500], ["c", "ann", "s1"]]


def test_a_lost_session_says_for_how_long_it_has_been_lost():
    said = notes(left={"s1": Farewell("ann", False, 9.0)}).operations(12.5)
    assert said == [["l", "ann", "s1", 3500]]


def test_a_clock_that_reads_earlier_makes_no_negative_age():
    assert notes(heard={"s1": Lease("ann", 10.5)}).operations(10.0) == [["e", "ann", "s1", 0]]


def test_turns_are_reported_and_states_asked_for_by_user():
    turn = Turn.read([b"ann", 1, 7, 5, 0])
    assert turn == Turn("ann", True, 7, 5, False)
    said = notes(told={"ann": turn}, again={"bob": None}).operations(0.0)
    assert said == [["t", "ann", 7], ["s", "bob"]]


def test_what_redis_answers_is_read_by_all_alike():
    answer = Answer.read([1, 9, 0, [[b"ann", 1, 7, 5, 0]], [b"bob"]])
    assert answer == Answer(True, 9, False, [Turn("ann", True, 7, 5, False)], ["bob"])
    assert not Answer.read([0]).known


def test_the_oldest_are_taken_out_of_a_queue():
    queue = {"a": 1, "b": 2, "c": 3}
    assert oldest(queue, 2) == {"a": 1, "b": 2}
    assert queue == {"c": 3}
    assert oldest(queue, 0) == {}


def test_a_process_and_its_sessions_are_renewed_long_before_their_leases_end():
    lengths = Lengths()
    assert lengths.beat * 4 < lengths.process
    assert lengths.renewal + 25 < lengths.session, "pings come every 25 s"
