"""Afterwards: does the database hold exactly what was acked, in order, and are the unread counts right?"""

from typing import Any

from bench.play import Figures
from bench.stage import Stage

__all__ = ["find_disturbances", "find_faults", "stored"]

BUSY = 0.8  # cores; a generator beyond it may be what is measured
DISTURBED = 0.2  # cores; what others may use before the figures are theirs, too. The runner itself is among them

PEER_ROWS = "SELECT count(*) FROM messages"
OUR_ROWS = "SELECT count(*) FROM entries WHERE type <> 'system'"
# A conversation's numbers are 1 to last_seq, each once: then the count, the smallest and the largest say so.
OUR_GAPS = """
    SELECT count(*) FROM conversation_heads head
    LEFT JOIN (SELECT conversation_id, count(*) AS rows, min(seq) AS low, max(seq) AS high
               FROM entries GROUP BY conversation_id) held USING (conversation_id)
    WHERE coalesce(held.rows, 0) <> head.last_seq
       OR coalesce(held.high, 0) <> head.last_seq OR coalesce(held.low, 1) <> 1"""


def stored(stage: Stage, wire: str) -> Figures:
    """What the contestant left behind: rows of messages, conversations with a gap (ours), unread counted (peers)."""
    with stage.visit() as connection:
        if wire == "native":
            return {"rows": _number(connection, OUR_ROWS), "gaps": _number(connection, OUR_GAPS)}
        unread = sum(int(n) for key in stage.counters.scan_iter("unread:*") for n in stage.counters.hvals(key))
        return {"rows": _number(connection, PEER_ROWS), "unread": unread}


def _number(connection: Any, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def find_faults(figures: Figures, held: Figures, copies: int) -> list[str]:
    """Everything about a closed loop that is not as it must be. `copies`: recipients of a message."""
    expected = {"rows": figures["acked"], "gaps": 0, "unread": figures["acked"] * copies}
    wrong = [f"{name}: {held[name]}, not {expected[name]}" for name in held if held[name] != expected[name]]
    counted = [f"{name}: {figures[name]}" for name in ("lost", "duplicates", "refused") if figures[name]]
    return [*wrong, *counted, *(f"closed: {why}" for why in figures["gone"]), *figures["refusals"]]


def find_disturbances(cpu: dict[str, float]) -> list[str]:
    """What else may have been measured: the generator's own limit, or a machine that does other work. In cores."""
    limits = {"generator": BUSY, "others": DISTURBED}
    return [f"{name}: {cpu[name]:.2f} cores" for name, limit in limits.items() if cpu.get(name, 0.0) > limit]
