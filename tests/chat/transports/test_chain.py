"""A chain keeps what its client has not acknowledged, and nothing more."""

from types import SimpleNamespace
from typing import Any

import gevent
import orjson
import pytest

from chat.cursor import Cursor
from chat.errors import CloseReason
from chat.frames import CONVERSATION, Event
from chat.session import Session, State
from chat.transports import chain as chain_module
from chat.transports.chain import Chain

STANDS = Cursor("generation", "epoch", 5, 1_000_000)


@pytest.fixture
def chain() -> Chain:
    node: Any = SimpleNamespace(hub=SimpleNamespace(dirty=[]), cursor=lambda: STANDS)
    made = Chain(node, STANDS, login_id=3)
    made.session = Session("s1", made, 0.0)
    made.session.state = State.LIVE
    made.live()
    return made


def said(change: int, text: str = "x") -> Event:
    return Event("message", orjson.dumps({"content": text}), CONVERSATION, 7, change=change, seq=change)


def taken(chain: Chain, most: int) -> tuple[list[bytes], Cursor]:
    """Return what a poll is answered with now: events, and the cursor as it comes back."""
    frames, cursor = chain.answer(most), Cursor.decode(chain.told.cursor)
    assert cursor is not None
    return frames, cursor


def contents(frames: list[bytes]) -> list[str]:
    return [orjson.loads(frame)["data"]["content"] for frame in frames]


def test_a_poll_consumes_nothing_and_its_cursor_acknowledges(chain: Chain) -> None:
    chain.event(said(1, "one"))
    chain.event(said(2, "two"))
    first, cursor = taken(chain, 10_000)
    again, _ = taken(chain, 10_000)
    assert contents(first) == contents(again) == ["one", "two"]
    assert cursor.seen == {7: (2, 2)}
    chain.event(said(3, "three"))
    assert chain.acknowledge(cursor)
    assert contents(taken(chain, 10_000)[0]) == ["three"]


def test_an_answer_is_bounded_but_never_empty(chain: Chain) -> None:
    for change in (1, 2, 3):
        chain.event(said(change, "x" * 100))
    frames, cursor = taken(chain, 10)
    assert len(frames) == 1
    assert chain.acknowledge(cursor)
    assert len(taken(chain, 10_000)[0]) == 2


def test_a_cursor_from_elsewhere_cannot_go_on_here(chain: Chain) -> None:
    assert not chain.acknowledge(STANDS)
    assert not chain.acknowledge(STANDS._replace(session_id="s1~9"))


def test_a_chain_that_nobody_polls_lets_go_of_what_is_too_much(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "KEPT", 2)
    _, cursor = taken(chain, 10_000)
    for change in range(1, 5):
        chain.event(said(change))
    assert len(taken(chain, 10_000)[0]) == 2
    assert not chain.acknowledge(cursor)


def test_waiting_ends_with_an_event_or_the_farewell(chain: Chain) -> None:
    waiting = gevent.spawn(chain.wait, 10, None)
    gevent.sleep(0)
    assert chain.waiting == 1
    chain.event(said(1))
    chain.flush()
    waiting.get(timeout=5)
    assert chain.waiting == 0
    _, cursor = taken(chain, 10_000)
    chain.acknowledge(cursor)
    chain.close(CloseReason.RESTART, None)
    chain.wait(10, None)
    assert orjson.loads(taken(chain, 10_000)[0][-1])["event"] == "bye"


@pytest.fixture
def catching() -> Chain:
    """A chain whose session is handed a backlog; `proved` counts its proofs."""
    proofs: list[Session] = []
    node: Any = SimpleNamespace(hub=SimpleNamespace(dirty=[]), cursor=lambda: STANDS, proved=proofs.append, n=proofs)
    made = Chain(node, STANDS, login_id=3)
    made.session = Session("s1", made, 0.0)
    made.session.state = State.CATCHING
    return made


def test_a_backlog_is_answered_as_soon_as_a_proof_is_asked_for_and_the_next_cursor_is_the_proof(
    catching: Chain,
) -> None:
    proofs = catching._node.n
    catching.event(said(1))
    catching.event(said(2))
    assert not catching.opened.is_set()
    catching.ping()
    assert catching.opened.is_set()
    _, half = taken(catching, 10)
    catching.acknowledge(half)
    assert proofs == [], "half of it is no proof"
    _, whole = taken(catching, 10_000)
    catching.acknowledge(whole)
    assert proofs == [catching.session]
    catching.acknowledge(whole)
    assert len(proofs) == 1


def test_a_client_that_had_everything_before_has_proved_it(catching: Chain) -> None:
    catching.ping()
    assert catching._node.n == [catching.session]
    assert not catching.opened.is_set(), "there is nothing to answer with yet"
