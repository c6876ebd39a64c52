import pytest

from bench.check import find_disturbances, find_faults

CLEAN = {"acked": 10, "lost": 0, "duplicates": 0, "refused": 0, "refusals": [], "gone": []}


def test_a_clean_run_has_no_faults() -> None:
    assert find_faults(CLEAN, {"rows": 10, "gaps": 0}, copies=1) == []
    assert find_faults(CLEAN, {"rows": 10, "unread": 9_990}, copies=999) == []


@pytest.mark.parametrize("held", [{"rows": 9, "gaps": 0}, {"rows": 10, "gaps": 1}, {"rows": 10, "unread": 11}])
def test_what_the_database_should_not_hold_is_a_fault(held: dict[str, int]) -> None:
    assert len(find_faults(CLEAN, held, copies=1)) == 1


@pytest.mark.parametrize("name", ["lost", "duplicates", "refused"])
def test_what_went_wrong_on_the_way_is_a_fault(name: str) -> None:
    assert find_faults(CLEAN | {name: 3}, {"rows": 10}, copies=1) == [f"{name}: 3"]


def test_a_busy_generator_and_a_busy_machine_are_told() -> None:
    assert find_disturbances({"generator": 0.5, "others": 0.1, "server": 1.0}) == []
    assert len(find_disturbances({"generator": 0.9, "others": 1.1})) == 2
    assert find_disturbances({}) == []
