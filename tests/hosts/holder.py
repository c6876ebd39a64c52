"""Takes part in a unit of work as a web worker does, and is frozen in the middle of it, with its locks held.

`python -m tests.hosts.holder DATABASE_URL number …` locks these conversations, gives them another name, says `held`,
and stops itself. Whoever lets it go on reads what became of the commit: `committed`, or the code of the refusal.
"""

import os
import signal
import sys
from types import SimpleNamespace

from chat.config import load
from chat.errors import ChatError
from chat.stores import database_pool
from chat.transaction import Transaction, run_in_transaction

__all__ = ["RENAMED"]

RENAMED = "renamed by one who was frozen"


def main(database_url: str, *numbers: str) -> None:
    """Do it."""
    config = load({"DATABASE_URL": database_url, "REDIS_URL": "unused", "JWT_SECRET": "x" * 32}, {})
    teller = SimpleNamespace(config=config, tell=lambda events: None, enqueue=lambda task, arguments: None)

    def work(tx: Transaction) -> None:
        for number in sorted(map(int, numbers)):
            tx.execute("UPDATE conversations SET name = :name WHERE id = :id", {"name": RENAMED, "id": number})
            tx.lock_conversation(number)
        print("held", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)

    try:
        run_in_transaction(database_pool(config), teller, work)
        print("committed", flush=True)
    except ChatError as error:
        print(error.code.name, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
