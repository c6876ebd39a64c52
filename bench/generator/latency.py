"""Percentiles, by nearest rank: a figure that was really measured, never one in between."""

import math
from collections.abc import Iterable

__all__ = ["Summary", "percentile", "summarise"]

Summary = dict[str, float]


def percentile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of the ordered values do not exceed; NaN of nothing."""
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def summarise(seconds: Iterable[float]) -> Summary:
    """p50, p99 and max in milliseconds, and how many there were."""
    ordered = sorted(seconds)
    if not ordered:
        return {"count": 0}
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {"count": len(ordered)} | {name: percentile(ordered, share) * 1000 for name, share in shares.items()}
