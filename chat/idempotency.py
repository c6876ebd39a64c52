"""Idempotency-Key: the answer to a creating request is kept 24 h, written in the request's own transaction."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import orjson

from chat.errors import ChatError
from chat.frames import Caller, Command
from chat.transaction import Transaction

__all__ = ["once"]

CLAIM = """
INSERT INTO idempotent_answers (user_id, key, digest, answer) VALUES (:user, :key, :digest, '')
ON CONFLICT (user_id, key) DO UPDATE SET digest = excluded.digest, answer = '', created_at = now()
WHERE idempotent_answers.created_at < now() - interval '24 hours' RETURNING 1
"""
KEPT = "SELECT digest, answer FROM idempotent_answers WHERE user_id = :user AND key = :key"
KEEP = "UPDATE idempotent_answers SET answer = :answer WHERE user_id = :user AND key = :key"


def once(tx: Transaction, caller: Caller, command: Command, work: Callable[[], Any]) -> Any:
    """Run `work` unless this key was used, and return its answer or the kept one.

    A second request at the same time waits for the first one's commit. Raises ChatError idempotency_conflict when the
    key was used for something else.
    """
    digest = int.from_bytes(
        blake2b(orjson.dumps([command.op, command.data], option=orjson.OPT_SORT_KEYS), digest_size=8).digest(),
        "big",
        signed=True,
    )
    values = {"user": caller.user_id, "key": command.idempotency_key, "digest": digest}
    if tx.execute(CLAIM, values).first() is None:
        kept = tx.execute(KEPT, values).one()
        if kept.digest != digest:
            raise ChatError("idempotency_conflict")
        return orjson.loads(kept.answer)
    answer = work()
    tx.execute(KEEP, {**values, "answer": orjson.dumps(answer).decode()})
    return answer
