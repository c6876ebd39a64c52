"""Batches of a returning user's backlog, built here so that the web process need not; chat/offline.py asks for them.

A batch goes to the process that asked, and to nobody else. Built twice, or too late, it is dropped there; not built at
all, it is built there. So nothing has to be found again.
"""

import logging
from typing import Any

import orjson
from celery import shared_task
from sqlalchemy import text

from chat.entries import FORMAT, batch, packed
from tasks import stores

__all__ = ["build"]

logger = logging.getLogger(__name__)
ENTRIES = text("SELECT chat_entries_1(CAST(:asked AS json))")


@shared_task(name="tasks.offline.build", ignore_result=True)  # type: ignore[untyped-decorator]
def build(form: int, process_id: str, requests: list[tuple[str, int, list[list[int]], int]]) -> None:
    """Build batches and send each to the process, under its tag.

    A request is (tag, user, [[conversation, seq, …], …], how many messages follow in later batches). One in another
    `form` is of another version of the server, which builds itself what nobody answers.
    """
    if form != FORMAT:
        logger.warning("Offline batches were asked for in format %s by another version of the server", form)
        return
    for tag, user_id, keys, remaining in requests:
        rows = _entries(user_id, keys)
        if not stores.publisher().post(process_id, packed(tag, batch(rows, remaining))):
            return  # the process has ended, and its sessions come back to another


def _entries(user_id: int, keys: list[list[int]]) -> list[list[Any]]:
    asked = orjson.dumps({"u": user_id, "k": keys}).decode()
    with stores.engine().connect() as connection:
        rows: list[list[Any]] = orjson.loads(connection.execute(ENTRIES, {"asked": asked}).scalar_one())
    return rows
