import math

import pytest

from bench.generator.latency import percentile, summarise


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_a_measured_value(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(1, 101)], share) == expected


def test_the_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 0.5))


def test_a_summary_is_in_milliseconds_and_needs_no_order() -> None:
    assert summarise([0.003, 0.001, 0.002]) == {"count": 3, "p50": 2.0, "p99": 3.0, "max": 3.0}


def test_a_summary_of_nothing_has_no_percentiles() -> None:
    assert summarise([]) == {"count": 0}
