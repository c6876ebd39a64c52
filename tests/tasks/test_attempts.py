"""A task that takes its process along is begun a few times and not for ever."""

from tasks import attempts
from tests.chat.processes import until
from tests.tasks.test_worker import Lone, crew

__all__ = ["crew"]


def test_a_task_that_kills_its_process_is_given_up_however_often_it_is_sent(crew: Lone) -> None:
    crew.worker(processes=3)
    crew.send("duties.die")
    for _ in range(2):
        crew.send("duties.die", "the same")
    until(lambda: crew.log().count("raised unexpected: GivenUp(") == 3, "all are given up")
    assert len(crew.said("died")) == 2 * attempts.MOST
    keys = crew.client.keys("a:celery:begun:duties.die:*")
    assert len(keys) == 2
    assert all(0 < crew.client.ttl(key) <= attempts.KEPT for key in keys)
    crew.send("duties.look")
    crew.said("plain")


def test_what_ends_is_not_counted(crew: Lone) -> None:
    crew.worker(processes=1)
    for _ in range(5):
        crew.send("duties.fall")
    crew.send("duties.look")
    crew.said("plain")
    assert "GivenUp" not in crew.log()
    assert crew.client.keys("a:celery:begun:duties.fall:*") == []
