"""What became of the duties: counted by a real worker, told in a line where a store was away."""

import json
import time
from typing import Any

import redis

from tests.chat.processes import until
from tests.tasks.conftest import Site
from tests.tasks.crew import Crew


def test_runs_failures_and_lengths_are_counted_by_name(crew: Crew, site: Site) -> None:
    with redis.Redis.from_url(site.redis.url, decode_responses=True) as client:

        def record(name: str) -> dict[str, Any]:
            return json.loads(client.hget("celery:duties", name) or "{}")

        client.delete("celery:duties")
        crew.worker(processes=1)
        begun = time.time()
        for duty in ("look", "stumble", "trip", "fall", "look", "hesitate"):
            crew.send(f"duties.{duty}")
        crew.send("duties.linger", 0.2)
        until(lambda: record("duties.linger") and record("duties.hesitate"), "the last duties are counted")
        look, lingered = record("duties.look"), record("duties.linger")
        assert (look["runs"], look["failures"]) == (2, 0)
        assert begun - 1 < look["lastSuccess"] < time.time() + 1
        assert 0.2 <= lingered["seconds"] < 5
        for duty in ("stumble", "trip", "fall"):
            found = record(f"duties.{duty}")
            assert (found["runs"], found["failures"], found["lastSuccess"]) == (1, 1, 0)
        hesitated = record("duties.hesitate")
        assert (hesitated["runs"], hesitated["failures"]) == (1, 0)
        assert client.ttl("celery:duties") > 0
    lines = until(lambda: [line for line in crew.log().splitlines() if "duties." in line], "a line of the log")
    for duty in ("stumble", "trip"):
        (away,) = (line for line in lines if f"duties.{duty}" in line)
        assert "the database is away" in away
    assert "a mistake of ours" in crew.log()
    assert crew.log().count("Traceback") == 1  # of the mistake
