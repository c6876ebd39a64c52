"""Times on the wire: ISO 8601, UTC, six decimals, `Z`, fixed width, so that they sort as text.

Written with every message, so the part down to the second is kept: messages of one second share it.
"""

from datetime import UTC, datetime, timedelta

__all__ = ["epoch_us", "wire_time", "wire_time_us"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000  # microseconds

_kept = (0, "1970-01-01T00:00:00.")  # one tuple, because it is replaced in one step whatever runs beside


def wire_time_us(microseconds: int) -> str:
    """Return microseconds since the epoch as `2026-11-20T10:33:00.000001Z`."""
    global _kept
    second = microseconds // SECOND
    kept, prefix = _kept
    if second != kept:
        prefix = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}."
        _kept = second, prefix
    return "%s%06dZ" % (prefix, microseconds % SECOND)  # noqa: UP031 - a quarter faster than an f-string, 30,000 times a second


def wire_time(moment: datetime) -> str:
    """Return an aware datetime of any zone as `2026-11-20T10:33:00.000001Z`."""
    return wire_time_us(epoch_us(moment))


def epoch_us(moment: datetime) -> int:
    """Return an aware datetime as whole microseconds since the epoch, without the rounding of a float."""
    return (moment - EPOCH) // MICROSECOND
