"""Entries as rows: their events, and the batches that both the server and Celery build."""

import subprocess
import sys
from typing import Any

import orjson
import pytest

from chat import entries
from chat.entries import (
    CHUNK,
    CHUNK_BYTES,
    FORMAT,
    batch,
    batches,
    entry_event,
    entry_json,
    packed,
    parcels,
    unpacked,
)
from chat.frames import CONVERSATION
from tests.chat.processes import ROOT


def row(seq: int, content: str = "hi", edited: int | None = None) -> list[Any]:
    return [7, None, None, seq, seq + 100, "u1", f"l{seq}", "text", content, None, seq, edited, None]


def test_an_entry_is_a_message_and_once_changed_an_update() -> None:
    event, changed = entry_event(row(1), 3), entry_event(row(1), changed=True)
    assert (event.name, event.scope, event.target, event.seq, event.change) == ("message", CONVERSATION, 7, 1, 101)
    assert event.version == 3
    assert changed.name == "message.updated"
    assert orjson.loads(entry_json(row(1)))["content"] == "hi"


def test_a_private_entry_names_both() -> None:
    event = entry_event([7, 3, 9, *row(1)[3:]])
    assert event.private
    assert sorted(event.members) == [3, 9]
    assert event.data["conversationId"] == "p3-9"


def test_batches_are_cut_by_number() -> None:
    made = batches([row(seq) for seq in range(1, CHUNK + 11)], 30)
    assert [len(event.told) for event in made] == [CHUNK, 10]
    assert [event.data["remaining"] for event in made] == [40, 30]
    assert made[0].told[0] == (7, 101, 1)


def test_batches_are_cut_by_size() -> None:
    made = batches([row(seq, "x" * 20_000) for seq in range(1, 9)])
    assert [len(event.told) for event in made] == [4, 4]
    assert all(len(event.raw) < CHUNK_BYTES + 21_000 for event in made)


@pytest.mark.parametrize("length", [10, 700, 20_000])
def test_parcels_are_cut_where_batches_are(length: int) -> None:
    rows = [row(seq, "x" * length) for seq in range(1, 201)]
    sizes = [(7, seq, seq + 100, len(entry_json(each))) for seq, each in enumerate(rows, 1)]
    built = [(len(event.told), event.data["remaining"]) for event in batches(rows)]
    assert [(len(parcel.keys), parcel.remaining) for parcel in parcels(sizes)] == built


def test_nothing_missed_makes_no_batch() -> None:
    assert batches([]) == []
    assert parcels([]) == []


def test_a_batch_of_nothing_can_be_told() -> None:
    assert batch([], 0).data == {"messages": [], "remaining": 0}


def test_a_batch_arrives_as_it_was_sent() -> None:
    event = batch([row(1, "a\nb"), row(2)], 4)
    tag, arrived = unpacked(packed("s1.1", event))
    assert (tag, arrived.raw, arrived.told, arrived.name) == ("s1.1", event.raw, event.told, "offline.batch")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"{}\n", b'["one"]\n{}', b"[1]\n{}", b"\xff\n{}"])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        unpacked(data)


def test_a_batch_of_another_version_of_the_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(entries, "FORMAT", FORMAT + 1)
        data = packed("s1.1", batch([row(1)], 0))
    with pytest.raises(ValueError, match=f"format {FORMAT + 1}"):
        unpacked(data)


def test_celery_can_build_them_without_an_event_loop() -> None:
    code = "import sys, chat.entries; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
