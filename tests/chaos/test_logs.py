"""Logs: whatever nobody foresaw is found in them, and nothing else."""

from pathlib import Path

import pytest

from tests.chaos.logs import complaints

WEB = Path("web0.log")
TRACEBACK = """{before}
Traceback (most recent call last):
  File "chat/hub.py", line 1, in offer
    raise KeyError("x")
KeyError: 'x'
later"""
MARKED = """Unforeseen in GET /api/v1/unread
  | Traceback (most recent call last):
  |   File "chat/hub.py", line 1, in offer
  | KeyError: 'x'
later"""
CELERY = """[2026-11-20 17:37:03,362: WARNING/MainProcess] Traceback (most recent call last):
[2026-11-20 17:37:03,362: WARNING/MainProcess]   File "a.py", line 1, in b
[2026-11-20 17:37:03,362: WARNING/MainProcess] FileNotFoundError: there is nothing"""
CHAIN = """{before}
Traceback (most recent call last):
  File "redis/connection.py", line 1, in read
redis.exceptions.ConnectionError: Connection closed by server.

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "chat/hub.py", line 1, in offer
AttributeError: nothing
later"""
UNFORESEEN = {
    "a traceback": (TRACEBACK.format(before="message.send failed on our side"), "KeyError: 'x'"),
    "one that is marked": (MARKED, "KeyError: 'x'"),
    "one of Celery's": (CELERY, "FileNotFoundError: there is nothing"),
    "an error of gunicorn": (
        "[2026-11-20 17:37:03 +0000] [7] [ERROR] Exception in worker process",
        "Exception in worker",
    ),
    "a task that fails": (
        "[2026: ERROR/ForkPoolWorker-2] Task tasks.tiers.demote[3] raised unexpected: KeyError('x')",
        "Key",
    ),
    "an error of Celery": ("[2026-11-20 17:37:03,362: ERROR/MainProcess] Received unregistered task", "unregistered"),
    "a loop that died": ("presence failed and begins anew", "presence failed"),
    "a deadlock": ("2026-11-20 17:36:58.578 UTC [17523] ERROR:  deadlock detected", "deadlock"),
    "a statement that makes no sense": ("2026-11-20 17:36:58.578 UTC [17] ERROR:  column x does not exist", "column x"),
    "a crash": ("Fatal Python error: Segmentation fault", "Segmentation fault"),
}
FORESEEN = {
    "a part of Celery that trips over a lost broker": CHAIN.format(
        before="[2026-11-20 18:17:38,136: ERROR/MainProcess] Error on restarting Gossip: AttributeError('nothing')"
    ),
    "a server that is killed": "[2026-11-20 17:37:03 +0000] [7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out",
    "a broker that is away": "[2026-11-20 17:37:03,362: ERROR/MainProcess] consumer: Cannot connect to redis+socket:///s",
    "a task whose database is away": "[2026-11-20 18:05:43,994: ERROR/ForkPoolWorker-2] Task tasks.thumbnails.make[3] "
    "raised unexpected: UnpickleableExceptionWrapper('chat.errors', 'ChatError', (\"ChatError('overloaded: busy')\"",
    "a task whose store is away": "[2026-11-20 23:39:18: ERROR/ForkPoolWorker-1] tasks.offline.build failed: Lost",
    "a database that starts": "2026-11-20 17:36:58.578 UTC [17523] FATAL:  the database system is starting up",
    "a lock that is not given": "2026-11-20 17:36:58.578 UTC [3] ERROR:  canceling statement due to lock timeout",
    "a store that is away": "The tail could not look: server closed the connection unexpectedly",
}


@pytest.mark.parametrize("name", UNFORESEEN)
def test_what_nobody_foresaw_is_found_once(name: str) -> None:
    text, told = UNFORESEEN[name]
    (found,) = complaints({WEB: text})
    assert found.startswith("web0.log: ")
    assert told in found


@pytest.mark.parametrize("name", FORESEEN)
def test_what_faults_bring_about_is_no_finding(name: str) -> None:
    assert complaints({Path("celery.log"): FORESEEN[name]}) == []


def test_a_chain_of_tracebacks_is_one_finding_and_what_came_of_it_counts() -> None:
    (found,) = complaints({WEB: CHAIN.format(before="before")})
    assert found == "web0.log: before … AttributeError: nothing"


def test_two_tracebacks_are_two_findings() -> None:
    text = TRACEBACK.format(before="one") + "\n" + TRACEBACK.format(before="two")
    assert len(complaints({WEB: text})) == 2
