"""Whom nobody sweeps: sessions in Redis whose web processes have all died, with nobody left to tell that they went.

Web processes sweep for each other; this duty steps in where there is none, as one more process under the same rules of
leases.lua, and only until a web process is there again. Everything stands in Redis, by Redis's clock: a duty that is
killed is taken up by the next, and of two at once only one is given each turn.
"""

import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from celery import shared_task

import chat
from chat.lease_notes import Answer, Lengths, Turn, milliseconds
from chat.turns import events_of, note_seen, who
from tasks import stores

__all__ = ["SCHEDULE", "sweep"]

SCHEDULE = {"presence": {"task": "tasks.presence.sweep", "schedule": 10.0}}
LONGEST = 60.0  # seconds of one run: the lease of a process, that of its sessions, the grace, and as much again
AT_ONCE = 250  # users swept by one call: some 3 ms of Redis
# Answers 1 if something is left and no process but ARGV[2] lives. ARGV: prefix, process.
ALONE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, process in ipairs(redis.call('ZRANGEBYSCORE', ARGV[1] .. 'presence:processes', now, '+inf')) do
    if process ~= ARGV[2] then return 0 end
end
return math.min(1, redis.call('SCARD', ARGV[1] .. 'presence:online') + redis.call('ZCARD', ARGV[1] .. 'presence:turns'))
"""


class _Sweep:
    """One more process to leases.lua, without sessions of its own."""

    def __init__(self) -> None:
        settings = stores.settings()
        self.lengths = Lengths(grace=settings["PRESENCE_GRACE"])
        self._prefix, self._process_id = settings["REDIS_PREFIX"], f"celery-{secrets.token_hex(6)}"
        redis = stores.redis()
        self._step = redis.register_script(Path(chat.__file__).with_name("leases.lua").read_text())
        self._alone = redis.register_script(ALONE)

    def alone(self) -> bool:
        """Tell whether there is something to do and nobody else to do it. Raises RedisError."""
        return bool(self._alone(args=[self._prefix, self._process_id]))

    def step(self, operations: list[list[Any]]) -> tuple[bool, dict[str, Turn]]:
        """Say something and sweep. Returns whether more is left, and the turns to be told. Raises RedisError."""
        lengths = [milliseconds(length) for length in self.lengths]
        said = orjson.dumps(operations)
        answer = Answer.read(self._step(args=[self._prefix, self._process_id, *lengths, 1, AT_ONCE, 0, said]))
        return answer.more, {turn.user: turn for turn in answer.turns}


@shared_task(name="tasks.presence.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Find out who went when the last web process died, note when they were seen, and tell it."""
    sweeping = _Sweep()
    end = time.monotonic() + LONGEST
    told: list[list[Any]] = []
    joined = False
    while sweeping.alone() and time.monotonic() < end:
        more, turns = sweeping.step(told)
        joined = True
        told = _tell(turns) if turns else []
        if not (more or told):
            time.sleep(sweeping.lengths.beat)
    if joined:
        sweeping.step([*told, ["x"]])


def _tell(turns: dict[str, Turn]) -> list[list[Any]]:
    """Note and tell turns; return what is to be said of it. Whoever is killed before saying it leaves it to another."""
    with stores.engine().begin() as connection:
        rows = who(connection, turns)
        gone = {row.id: turns[row.public_id].seen_us for row in rows if not turns[row.public_id].online}
        note_seen(connection, dict(sorted(gone.items())))
    stores.publisher().tell(events_of(rows, turns))
    return _said(turns.values())


def _said(turns: Iterable[Turn]) -> list[list[Any]]:
    return [["t", turn.user, turn.number] for turn in turns]
