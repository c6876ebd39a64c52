"""Who is absent: nobody whom presence in Redis does not know to be."""

from collections.abc import Iterator

import pytest
import redis

from tasks.absence import absent
from tests.chat.processes import until
from tests.clients.crowd import Crowd
from tests.tasks.conftest import Site

pytestmark = pytest.mark.usefixtures("process")


@pytest.fixture
def store(site: Site) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(site.redis.url) as made:
        yield made


def test_who_has_a_session_is_not_absent_even_when_the_set_of_who_is_online_was_evicted(
    crowd: Crowd, store: redis.Redis
) -> None:
    ann, bob = crowd.persons(2)
    crowd.device(ann)
    until(lambda: absent([ann.id, bob.id]) == {bob.id}, "she is online, and presence knows all")
    store.delete("presence:online")
    assert absent([ann.id, bob.id]) == {bob.id}
    assert absent([]) == set()


def test_after_a_wipe_nobody_is_absent_until_all_have_said_whom_they_hold(crowd: Crowd, store: redis.Redis) -> None:
    ann, bob = crowd.persons(2)
    crowd.device(ann)
    until(lambda: absent([ann.id, bob.id]) == {bob.id}, "she is online, and presence knows all")
    store.flushall()
    found: list[set[str]] = []

    def settled() -> bool:
        found.append(absent([ann.id, bob.id]))
        return bool(found[-1])

    until(settled, "presence knows all again")
    assert found[0] == set()
    assert found[-1] == {bob.id}
