"""The rows of the table: which jobs each plays, and what it tells of the figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.play import Figures

__all__ = ["ROWS", "Cell", "Row"]


@dataclass(frozen=True)
class Cell:
    """One line of the table: how to find its value in the figures; `more` is whether more is better (None: neither)."""

    label: str
    value: Callable[[Figures], float]
    unit: str = ""
    digits: int = 1
    more: bool | None = False


@dataclass(frozen=True)
class Row:
    """A scenario. `jobs` are played one after the other, each against a fresh server; `quick` replaces some numbers."""

    name: str
    jobs: dict[str, dict[str, Any]]
    cells: list[Cell]
    quick: dict[str, Any] = field(default_factory=dict)
    copies: int | None = None  # recipients of a message, where the database is checked
    rounds: int | None = None  # fewer than asked for, where one is enough


def at(*path: str) -> Callable[[Figures], float]:
    """Find a figure by its path."""

    def find(figures: Figures) -> float:
        value: Any = figures
        for name in path:
            value = value.get(name, float("nan")) if isinstance(value, dict) else float("nan")
        return float(value)

    return find


def per_second(name: str, job: str = "load") -> Callable[[Figures], float]:
    """A count of a closed loop, per second."""
    return lambda figures: figures[job][name] / figures[job]["seconds"]


def _shares(job: str) -> list[Cell]:
    names = ("server", "postgres", "redis", "generator", "others")
    return [Cell(f"… {name}, cores", at(job, "cpu", name), digits=2, more=None) for name in names]


def _latencies(job: str, what: str) -> list[Cell]:
    return [Cell(f"… {what} {share}", at(job, what, share), "ms", 2) for share in ("p50", "p99")]


SHORT = {"seconds": 2.0, "warm_up": 0.5}
PAIRS = {"kind": "pairs", "users": 200, "window": 8}

ROWS = {
    row.name: row
    for row in (
        Row(
            "pairs",
            {"load": PAIRS, "statements": PAIRS | {"seconds": 1.0}},
            [
                Cell("1:1, 200 users, W=8, stored and delivered", per_second("messages"), "msg/s", 0, more=True),
                Cell("… server CPU per message", at("load", "server_us"), "µs"),
                *_latencies("load", "ack"),
                *_latencies("load", "delivery"),
                *_shares("load"),
                Cell("… statements per message", at("statements", "statements_each"), digits=3),
                Cell("… commits per message", at("load", "commits_each"), digits=3),
                Cell("… out of order", at("load", "out_of_order"), digits=0),
            ],
            SHORT,
            copies=1,
        ),
        Row(
            "pair",
            {"load": {"kind": "pairs", "users": 2, "window": 1, "seconds": 2.0}},
            [
                Cell("one pair, W=1, ack p50", at("load", "ack", "p50"), "ms", 2),
                Cell("… ack p99", at("load", "ack", "p99"), "ms", 2),
                *_latencies("load", "delivery"),
                Cell("… server CPU per message", at("load", "server_us"), "µs"),
            ],
            SHORT,
            copies=1,
        ),
        Row(
            "group",
            {"load": {"kind": "group", "users": 1_000, "window": 4}},
            [
                Cell("group of 1,000, W=4", per_second("deliveries"), "deliveries/s", 0, more=True),
                *_latencies("load", "ack"),
                *_latencies("load", "delivery"),
                *_shares("load"),
                Cell("… server CPU per delivery", lambda f: at("load", "server_us")(f) / 999, "µs", 2),
            ],
            SHORT,
            copies=999,
        ),
        Row(
            "idle",
            {"hold": {"kind": "idle", "users": 9_000}},
            [
                Cell("idle WebSocket, RSS each (of 9,000)", lambda f: f["hold"]["bytes_each"] / 1000, "kB", 2),
                Cell("… descriptors each", at("hold", "descriptors_each"), digits=3),
                Cell("… accepted while filling", at("hold", "per_second"), "/s", 0, more=True),
                Cell("… RSS with 20 connections", lambda f: f["hold"]["empty_rss"] / 1e6, "MB", 0),
            ],
            {"users": 2_000},
            rounds=1,
        ),
        Row(
            "accept",
            {"come": {"kind": "accept", "users": 2_000}},
            [
                Cell("accepts, known users, 64 in flight", at("come", "per_second"), "/s", 0, more=True),
                Cell("… users never seen before", at("come", "first_per_second"), "/s", 0, more=True),
                *[Cell(f"… handshake {s}", at("come", "handshake", s), "ms", 1) for s in ("p50", "p99")],
                Cell("… server CPU per accept", at("come", "server_us"), "µs", 0),
                Cell("… generator, cores", at("come", "cpu", "generator"), digits=2, more=None),
            ],
            {"users": 1_000},
        ),
        Row(
            "presence",
            {"watch": {"kind": "presence", "users": 20, "silent": True}},
            [
                Cell(f"peer hears: {what} {s}", at("watch", key, s), unit, 1)
                for key, what in (
                    ("came", "came online,"),
                    ("left", "left cleanly,"),
                    ("killed", "killed,"),
                    ("silent", "silent,"),
                )
                for s in ("p50", "p99")
                for unit in ("ms",)
            ],
            {"silent": False, "cycles": 2},
            rounds=1,
        ),
        Row(
            "unread",
            {
                "read": {"kind": "unread", "users": 32, "rate": 0.0},
                "busy": {"kind": "unread", "users": 32, "rate": 20.0},
                "statements": {"kind": "unread", "users": 32, "rate": 0.0, "seconds": 1.0},
            },
            [
                Cell("GET unread of 50 conversations", per_second("answers", "read"), "req/s", 0, more=True),
                *_latencies("read", "answer"),
                Cell("… server CPU per request", at("read", "server_us"), "µs", 0),
                *_shares("read"),
                Cell("… an answer's body", at("read", "bytes"), "bytes", 0, more=None),
                Cell("… statements per request", at("statements", "statements_each"), digits=3, more=None),
                Cell("… while 20 msg/s are sent to all of them", per_second("answers", "busy"), "req/s", 0, more=True),
                *_latencies("busy", "answer"),
                Cell("… server CPU per request", at("busy", "server_us"), "µs", 0),
            ],
            SHORT,
        ),
        Row(
            "polling",
            {"load": {"kind": "polling", "users": 500, "window": 1}},
            [
                Cell("500 long-pollers, 500 senders, W=1", per_second("deliveries"), "deliveries/s", 0, more=True),
                *_latencies("load", "ack"),
                *_latencies("load", "delivery"),
                Cell("… server CPU per message", at("load", "server_us"), "µs"),
                *_shares("load"),
            ],
            {"users": 100},
            copies=1,
        ),
        Row(
            "flood",
            {
                "alone": {"kind": "flood", "users": 20},
                "beside": {"kind": "flood", "users": 20, "flooding": True},
            },
            [
                Cell("20 quiet users, ack p99", at("alone", "ack", "p99"), "ms", 2),
                Cell("… beside a flooder", at("beside", "ack", "p99"), "ms", 2),
                Cell("… their p50", at("beside", "ack", "p50"), "ms", 2),
                Cell("… unanswered after 10 s", at("beside", "unanswered"), digits=0),
                Cell("… the flooder's, acked", at("beside", "flood", "per_second"), "msg/s", 0, more=None),
                Cell("… generator, cores", at("beside", "cpu", "generator"), digits=2, more=None),
            ],
            SHORT,
        ),
    )
}
