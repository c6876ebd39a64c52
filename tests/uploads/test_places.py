"""So many at a time."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from chat.errors import ChatError
from uploads.places import Places


def refusal(work: Callable[[], object]) -> ChatError:
    with pytest.raises(ChatError) as refused:
        work()
    assert refused.value.retry_after
    return refused.value


def test_each_has_so_many_and_all_together_have_a_bound() -> None:
    places = Places(5, 2, "things")
    with ExitStack() as stack:
        for key in ("ann", "ann", "bob", "bob"):
            stack.enter_context(places.one(key))
        refused = refusal(lambda: places.take("ann"))
        assert (refused.code.name, refused.message) == ("rate_limited", "Too many things at a time.")
        places.take("eve")
        assert places.taken == 5
        assert refusal(lambda: places.take("dan")).code.name == "overloaded"
        places.give_back("eve")
        places.take("dan")
    assert places.taken == 1


def test_what_fails_gives_its_place_back_and_who_has_none_is_forgotten() -> None:
    places = Places(5, 1, "things")
    for _ in range(3):
        with pytest.raises(KeyError), places.one("ann"):
            raise KeyError
    places.take("ann")
    refusal(lambda: places.take("ann"))
    places.give_back("ann")
    assert places._taken == {}
