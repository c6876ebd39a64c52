"""Plans: made of the seed alone, and all seeds together break everything."""

import subprocess
import sys
from collections import Counter

from tests.chaos.actor import Actor, Scene
from tests.chaos.errands import ERRANDS
from tests.chaos.faults import FAULTS
from tests.chaos.field import Story
from tests.chaos.plan import KINDS, OF_GROUPS, SHAPES, STAGED, VERBS, Shape, make_plan, told
from tests.deployment import ROOT

SEEDS = range(200)


def test_a_seed_gives_the_same_plan_each_time_and_in_each_process() -> None:
    here = told(make_plan(7))
    assert here == told(make_plan(7))
    code = "from tests.chaos.plan import make_plan, told; print(told(make_plan(7)), end='')"
    there = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert there.stdout == here
    assert told(make_plan(8)) != here


def test_every_fault_every_act_and_every_shape_occurs() -> None:
    plans = [make_plan(seed) for seed in SEEDS]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(KINDS)
    assert {act.verb for plan in plans for act in plan.acts} == {*VERBS, *STAGED}
    assert {plan.shape for plan in plans} == set(SHAPES)
    assert {plan.people for plan in plans} == set(range(2, 9))
    assert {seat.carrier for plan in plans for seat in plan.seats} == {"websocket", "poll", "stream"}
    assert {room.history for plan in plans for room in plan.rooms} == {"all", "joined"}


def test_no_kind_of_fault_is_left_to_rare_luck() -> None:
    counts = Counter(fault.kind for seed in SEEDS for fault in make_plan(seed).faults)
    assert min(counts.values()) > sum(counts.values()) / len(KINDS) / 3


def test_every_kind_of_fault_and_of_act_can_be_done() -> None:
    assert set(FAULTS) == set(KINDS)
    actor = Actor(None, 0, [], Scene([], [], [], Story()), ERRANDS)  # type: ignore[arg-type]
    assert set(actor._doing) == {*VERBS, *STAGED}


def test_many_plans_have_somebody_away_while_more_than_a_batch_is_written_to_where_they_hear_of_it() -> None:
    away = 0
    for plan in map(make_plan, SEEDS):
        floods = {act.seat: act for act in plan.acts if act.verb == "flood"}
        for act in plan.acts:
            if act.verb == "away":
                away += 1
                assert floods[act.number].number > 50
                assert floods[act.number].place == act.place
                assert act.number != act.seat
    assert away > len(SEEDS) / 3


def test_who_goes_for_good_goes_with_all_devices_and_not_everybody_goes() -> None:
    for plan in map(make_plan, SEEDS):
        gone = {act.seat for act in plan.acts if act.verb in ("go", "vanish")}
        people = {plan.seats[seat].person for seat in gone}
        assert gone == {number for number, seat in enumerate(plan.seats) if seat.person in people}
        assert len(people) <= 1


def test_what_a_plan_names_is_there() -> None:
    for seed in SEEDS:
        plan = make_plan(seed)
        for room in plan.rooms:
            assert {room.owner, *room.members} <= set(range(plan.people))
            assert room.owner not in room.members
        assert all(seat.web < plan.shape.webs and seat.person < plan.people for seat in plan.seats)
        for act in plan.acts:
            assert act.seat < len(plan.seats)
            assert act.web < plan.shape.webs
            assert act.verb not in OF_GROUPS or (act.place[0] == "g" and act.number < plan.people)
            assert int(act.place[1:]) < (plan.people if act.place[0] == "u" else len(plan.rooms))


def test_everything_begins_before_the_time_is_over_and_in_its_order() -> None:
    for seed in SEEDS:
        plan = make_plan(seed, seconds=2.5)
        times = [fault.at for fault in plan.faults]
        assert times == sorted(times)
        assert [act.at for act in plan.acts] == sorted(act.at for act in plan.acts)
        assert max([*times, *(act.at for act in plan.acts)]) <= 2.5
        assert all(KINDS[fault.kind][0] <= fault.lasting <= KINDS[fault.kind][1] for fault in plan.faults)


def test_a_shape_that_is_given_is_taken() -> None:
    plan = make_plan(5, shape=Shape(2, 2))
    assert plan.shape == (2, 2)
    assert {seat.web for seat in make_plan(8, shape=Shape(1, 1)).seats} == {0}


def test_a_plan_is_told_with_all_that_happens() -> None:
    plan = make_plan(9)
    lines = told(plan).splitlines()
    assert len(lines) == 1 + len(plan.rooms) + len(plan.seats) + len(plan.acts) + len(plan.faults)
    assert lines[0].startswith("seed 9:")
