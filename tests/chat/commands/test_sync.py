"""What `sync` takes."""

import pytest
from marshmallow import ValidationError

from chat.commands.sync import SyncSchema


def test_who_says_nothing_holds_nothing() -> None:
    data = SyncSchema().load({"conversations": {"g1": {}, "g2": {"seq": 3, "change": 4, "more": 5}}})
    assert data == {"conversations": {"g1": {"seq": 0, "change": 0}, "g2": {"seq": 3, "change": 4}}}


def test_a_hundred_at_most() -> None:
    SyncSchema().load({"conversations": {f"g{number}": {} for number in range(100)}})
    with pytest.raises(ValidationError):
        SyncSchema().load({"conversations": {f"g{number}": {} for number in range(101)}})
