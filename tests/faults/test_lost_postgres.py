"""PostgreSQL killed and restarted under load, and its backends killed in the middle of COMMIT."""

import os
import random
import signal

import psycopg

from tests.clients.crowd import Crowd
from tests.deployment import Deployment, wait_for
from tests.load import Load

WRITERS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'chat writer' AND state = 'active'"
END_WRITERS = f"SELECT count(pg_terminate_backend(pid)) FROM ({WRITERS}) w"
PATIENCE = 30.0  # seconds


def test_postgresql_killed_under_load_loses_no_acked_message(broken: Deployment, crowd: Crowd) -> None:
    load = Load(crowd, seed=21).start()
    for _ in range(2):
        load.go_on(100)
        broken.postgres.kill()
        broken.postgres.start()
    load.go_on(100)
    load.stop()
    crowd.check(PATIENCE)


def test_postgresql_away_for_a_while_is_answered_as_not_known_and_loses_nothing(
    broken: Deployment, crowd: Crowd
) -> None:
    load = Load(crowd, seed=22).start()
    load.go_on(100)
    broken.postgres.kill()
    wait_for(lambda: load.refusals["unavailable"], PATIENCE, "somebody to be told that it is not known")
    broken.postgres.start()
    load.go_on(100)
    load.stop()
    crowd.check(PATIENCE)


def test_backends_ended_during_commit_store_nothing_twice_and_lose_nothing(broken: Deployment, crowd: Crowd) -> None:
    chance = random.Random(23)
    load = Load(crowd, seed=23).start()
    with psycopg.connect(broken.postgres.admin_url, autocommit=True) as admin:

        def ended() -> bool:
            row = admin.execute(END_WRITERS).fetchone()
            return bool(row and row[0])

        for _ in range(60):
            load.go_on(chance.randint(1, 8))
            wait_for(ended, PATIENCE, "a writer that is at work")
    load.go_on(50)
    load.stop()
    crowd.check(PATIENCE)


def test_a_backend_killed_during_commit_loses_no_acked_message(broken: Deployment, crowd: Crowd) -> None:
    load = Load(crowd, seed=24).start()
    for _ in range(2):
        load.go_on(60)
        with psycopg.connect(broken.postgres.admin_url, autocommit=True) as admin:
            pids = wait_for(lambda: [pid for (pid,) in admin.execute(WRITERS)], PATIENCE, "a writer that is at work")
            os.kill(pids[0], signal.SIGKILL)
        wait_for(broken.postgres.is_ready, PATIENCE, "PostgreSQL to recover")
    load.go_on(60)
    load.stop()
    crowd.check(PATIENCE)
