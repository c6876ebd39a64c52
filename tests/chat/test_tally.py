"""A tally comes back from Redis as it was left there."""

import pytest

from chat.tally import Tally, array, read_tally


def test_a_tally_comes_back() -> None:
    tally = Tally(-(2**63), 5, [[7, None, None, 3, 9, 4, 1_700_000_000_000_000], [8, 1, 2, 2, 9, 0, 2**50]])
    assert read_tally(tally.encoded()) == tally
    assert read_tally(Tally(0, 0, []).encoded()) == Tally(0, 0, [])


@pytest.mark.parametrize("raw", [None, b"", b"{}", b"[1,2]", b"[1,2,[[1]]]", b'["x",1,[]]', b"[1,2,3]", b"\xff"])
def test_what_is_none_is_none(raw: bytes | None) -> None:
    assert read_tally(raw) is None


def test_an_array_is_written_as_postgresql_reads_it() -> None:
    assert array([1, None, -(2**63)]) == b"{1,NULL,-9223372036854775808}"
    assert array([]) == b"{}"
