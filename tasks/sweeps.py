"""What the database need not keep any longer: logins, answers to creating requests, tickets.

Each run deletes in batches with a transaction of its own and passes by the rows that somebody else holds, so that two
at once share the work, one that is killed leaves the rest to the next, and nobody waits for a lock.
"""

from celery import shared_task
from sqlalchemy import text

from tasks import stores

__all__ = ["SCHEDULE", "answers", "logins", "tickets"]

SCHEDULE = {
    "sweep of logins": {"task": "tasks.sweeps.logins", "schedule": 3_600.0},
    "sweep of answers": {"task": "tasks.sweeps.answers", "schedule": 600.0},
    "sweep of tickets": {"task": "tasks.sweeps.tickets", "schedule": 600.0},
}
BATCH = 1_000  # rows of one transaction: some 10 ms
BATCHES = 500  # of one run: what is left then, the next finds
SLICE = 10_000  # logins looked at by one statement: there is no index on when they expire, nor need of one


@shared_task(name="tasks.sweeps.answers")  # type: ignore[untyped-decorator]
def answers() -> int:
    """Delete the kept answers that are older than a day; return how many."""
    return _sweep(ANSWERS)


@shared_task(name="tasks.sweeps.tickets")  # type: ignore[untyped-decorator]
def tickets() -> int:
    """Delete the tickets that have expired; return how many. Using one deletes it anyway."""
    return _sweep(TICKETS)


@shared_task(name="tasks.sweeps.logins")  # type: ignore[untyped-decorator]
def logins() -> int:
    """Delete the logins that nobody can come back with; return how many.

    They stay a week after their end: the tail of every process must have seen it, and a session outlives the expiry of
    its login, whose `gone_at` it writes. A host application's login that was ended is what keeps its tokens out, also
    those that the host gives out later under the same name (`jti`): it stays for a year after the last one's expiry.
    """
    after = deleted = 0
    while True:
        with stores.engine().begin() as connection:
            row = connection.execute(text(LOGINS), {"after": after, "slice": SLICE}).one()
        if row.last is None:
            return deleted
        after, deleted = row.last, deleted + row.deleted


def _sweep(statement: str) -> int:
    deleted = 0
    for _ in range(BATCHES):
        with stores.engine().begin() as connection:
            found: int = connection.execute(text(statement), {"most": BATCH}).rowcount
        deleted += found
        if found < BATCH:
            break
    return deleted


# What is found stands in an array, read once. By IN (SELECT …) PostgreSQL may read it for every row of the table: it
# does where the statistics are of a table that had just been swept, and the sweep never ends.
ANSWERS = """
DELETE FROM idempotent_answers WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotent_answers WHERE created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT :most FOR UPDATE SKIP LOCKED))
"""
TICKETS = """
DELETE FROM tickets WHERE digest = ANY (ARRAY(
    SELECT digest FROM tickets WHERE expires_at < now() ORDER BY expires_at LIMIT :most FOR UPDATE SKIP LOCKED))
"""
LOGINS = """
WITH slice AS MATERIALIZED (
    SELECT id FROM logins WHERE id > :after ORDER BY id LIMIT :slice
), over AS MATERIALIZED (
    SELECT l.id FROM logins l JOIN slice USING (id)
    WHERE CASE WHEN l.kind <> 'host' THEN least(l.ended_at, l.expires_at) + interval '7 days'
               WHEN l.ended_at IS NULL THEN l.expires_at + interval '7 days'
               ELSE l.expires_at + interval '1 year' END < now()
    ORDER BY l.id FOR UPDATE OF l SKIP LOCKED
), gone AS (
    DELETE FROM logins WHERE id = ANY (ARRAY(SELECT id FROM over)) RETURNING 1
)
SELECT (SELECT max(id) FROM slice) AS last, (SELECT count(*) FROM gone) AS deleted
"""
