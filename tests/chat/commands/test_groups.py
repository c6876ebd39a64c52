"""What the groups' verbs take."""

from datetime import UTC, datetime
from typing import Any

import pytest
from marshmallow import ValidationError

from chat.commands import groups, verbs


def test_ids_may_be_integers_and_doubles_are_left_out() -> None:
    data = groups.CreateSchema().load({"name": "Club", "memberIds": [42, "42", "u1"], "localId": "ignored"})
    assert data == {"name": "Club", "member_ids": ["42", "u1"]}


def test_what_is_not_given_is_not_set() -> None:
    assert groups.UpdateSchema().load({"groupId": 7}) == {"group_id": "7"}


def test_a_time_without_a_zone_is_utc() -> None:
    data = groups.MuteSchema().load({"groupId": "g1", "userId": "u1", "until": "2030-01-02T03:04:05"})
    assert data["until"] == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\u202eb"},
        {"name": None},
        {"name": "x", "history": "none"},
        {"name": "x", "memberIds": [None]},
        {"name": "x", "memberIds": [""]},
        {"name": "x", "memberIds": [str(number) for number in range(5_001)]},
        {"name": "x", "listed": "perhaps"},
        {"name": "x", "avatar": "x" * 501},
    ],
)
def test_a_group_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        groups.CreateSchema().load(given)


def test_making_a_group_takes_an_idempotency_key() -> None:
    assert verbs()["group.create"].creates
