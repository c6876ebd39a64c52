"""Times on the wire."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from chat.times import epoch_us, wire_time, wire_time_us

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))


def test_a_time_has_six_decimals_and_a_z() -> None:
    assert wire_time_us(1_763_635_000_000_001) == "2025-11-20T10:36:40.000001Z"
    assert wire_time_us(0) == "1970-01-01T00:00:00.000000Z"


def test_any_zone_is_told_in_utc() -> None:
    assert wire_time(datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))) == "2026-01-01T00:00:00.000000Z"


@given(MOMENTS, MOMENTS)
def test_times_sort_as_text_and_come_back_whole(one: datetime, other: datetime) -> None:
    assert (wire_time(one) < wire_time(other)) == (one < other)
    assert datetime.fromisoformat(wire_time(one)) == one
    assert EPOCH + timedelta(microseconds=epoch_us(one)) == one
