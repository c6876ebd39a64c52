"""Some random runs for every change: plans that together break everything. More of them: `python -m tests.chaos`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.field import Field
from tests.chaos.plan import KINDS, Shape, make_plan
from tests.chaos.run import play

SHAPE = Shape(2, 1)
SECONDS = 2.5  # of each: six runs take about a minute
SEEDS = (13, 136, 205, 380, 564, 437)  # each kind of fault is in one of them at least, an absence, and a farewell


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    made = Field(tmp_path_factory.mktemp("field"), SHAPE)
    try:
        yield made.start()
    finally:
        made.stop()


def test_the_runs_break_everything() -> None:
    plans = [make_plan(seed, SECONDS, SHAPE) for seed in SEEDS]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(KINDS)
    assert {act.verb for plan in plans for act in plan.acts} >= {"away", "flood", "go", "image", "clear", "found"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_run_breaks_no_promise(field: Field, seed: int, tmp_path: Path) -> None:
    field.heal()  # what a failed run left
    result = play(make_plan(seed, SECONDS, SHAPE), field, tmp_path)
    assert not result.wrong, f"{result.line()}\n" + "\n".join(result.wrong)
    assert result.acks
