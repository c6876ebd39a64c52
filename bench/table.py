"""The table: medians over the rounds, one column a contestant, and ours as a multiple of the peer to beat."""

import math
from collections.abc import Sequence
from statistics import median

from bench.play import Figures
from bench.rows import Cell, Row

__all__ = ["render", "value_of"]


def value_of(cell: Cell, rounds: Sequence[Figures]) -> float:
    """The median of a cell over the rounds that have it; NaN without any."""
    values = [value for value in map(cell.value, rounds) if not math.isnan(value)]
    return median(values) if values else math.nan


def render(
    rows: Sequence[Row], names: dict[str, str], results: dict[tuple[str, str], list[Figures]], to_beat: str
) -> str:
    """The Markdown table. `names`: label by contestant; `results`: the rounds by row and contestant."""
    ratio = "us" in names and to_beat in names
    head = ["what", "unit", *names.values(), *([f"this server / {names[to_beat]}"] if ratio else [])]
    lines = [_line(head), _line(["---"] * 2 + ["---:"] * (len(head) - 2))]
    for row in rows:
        for cell in row.cells:
            values = {name: value_of(cell, results.get((row.name, name), [])) for name in names}
            texts = [_number(value, cell.digits) for value in values.values()]
            lines.append(_line([cell.label, cell.unit, *texts, *([_ratio(cell, values, to_beat)] if ratio else [])]))
    return "\n".join(lines)


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


def _ratio(cell: Cell, values: dict[str, float], to_beat: str) -> str:
    ours, theirs = values["us"], values[to_beat]
    if cell.more is None or math.isnan(ours) or math.isnan(theirs) or not theirs:
        return ""
    return f"{ours / theirs:.2f}" + ("" if cell.more else " (less is better)")
