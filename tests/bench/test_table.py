import math
from typing import Any

from bench.rows import Cell, Row, at
from bench.table import render, value_of

RATE = Cell("rate", at("load", "rate"), "msg/s", 0, more=True)
DELAY = Cell("delay", at("load", "ack", "p99"), "ms", 1)
ROW = Row("pairs", {}, [RATE, DELAY])


def figures(rate: float, delay: float) -> dict[str, Any]:
    return {"load": {"rate": rate, "ack": {"p99": delay}}}


def test_a_cell_is_the_median_of_the_rounds() -> None:
    assert value_of(RATE, [figures(30, 1), figures(10, 1), figures(20, 1)]) == 20


def test_a_cell_without_figures_is_empty() -> None:
    assert math.isnan(value_of(RATE, []))
    assert math.isnan(value_of(DELAY, [{"load": {"ack": {"count": 0}}}]))


def test_the_table_gives_ours_as_a_multiple_of_the_peer() -> None:
    results = {("pairs", "us"): [figures(30_000, 5)], ("pairs", "p1b"): [figures(20_000, 10)]}
    table = render([ROW], {"us": "ours", "p1b": "peer"}, results, "p1b")
    assert "| rate | msg/s | 30,000 | 20,000 | 1.50 |" in table
    assert "| delay | ms | 5.0 | 10.0 | 0.50 (less is better) |" in table


def test_without_both_sides_there_is_no_ratio() -> None:
    table = render([ROW], {"p1b": "peer"}, {("pairs", "p1b"): [figures(20_000, 10)]}, "p1b")
    assert table.splitlines()[0] == "| what | unit | peer |"
