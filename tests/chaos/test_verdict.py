"""The verdict sees what people are told otherwise than the database has it; each kind is planted once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.verdict import refused_but_there, repeated, told_otherwise
from tests.clients.person import Refused
from tests.ledger import Conversation, Entry, Ledger, Member
from tests.test_checker import row, told

PAGE = 100


class Ann:
    """Somebody who is asked for."""

    id = "ann"


class Worker:
    """A door to a worker that tells the truth; `lie` changes what it tells of a path."""

    def __init__(self, ledger: Ledger):
        self.name = "a worker"
        self.lie: Callable[[str, Any], Any] = lambda path, answer: answer
        self._ledger = ledger

    def call(self, _person: Any, path: str, data: Any = None) -> Any:
        """Answer as a server does."""
        return self.lie(path, self._answer(path, data))

    def _answer(self, path: str, data: Any) -> Any:
        if path == "/unread":
            return {"conversations": {"p1-2": {"unread": 1, "lastMessage": self._last("p1-2")}}}
        if path == "/conversations":
            return {"conversations": [self._row(wire_id) for wire_id in ("g1", "p1-2")]}
        wire_id = path.split("/")[2]
        if wire_id == "g2":
            raise Refused({"code": "not_a_member"})
        rows = [told(entry, wire_id) for entry in self._ledger[wire_id].rows if entry.seq < data.get("before", PAGE)]
        return {"messages": rows, "hasMore": False}

    def _last(self, wire_id: str) -> dict[str, Any]:
        return told(self._ledger[wire_id].rows[-1], wire_id)

    def _row(self, wire_id: str) -> dict[str, Any]:
        made = self._ledger[wire_id]
        stands = {"lastSeq": made.last_seq, "change": made.change, "readSeq": made.members["ann"].read_seq}
        return {"id": wire_id, **stands, "unread": int(wire_id == "p1-2"), "lastMessage": self._last(wire_id)}


class Town:
    """Ann, a private conversation of hers with something unread, a group that she is in and one that she left."""

    def __init__(self) -> None:
        rows = [row(1), row(2), row(3, "bob")]
        own = [replace(row(1), content="only"), replace(row(2), content="own")]
        self.people = [Ann()]
        self.books: Ledger = {
            "p1-2": Conversation("p1-2", 3, 3, 0, 3, 2, rows=rows, members={"ann": Member(0, None, 3, 2, 2, 0)}),
            "g1": Conversation("g1", 2, 2, 0, 2, 1, rows=own, members={"ann": Member(0, None, 2, 2, 2, 0)}),
            "g2": Conversation("g2", 1, 1, 0, 1, 0, rows=[row(1, "bob")], members={"ann": Member(0, 2)}),
        }
        self.doors = [Worker(self.books), Worker(self.books)]

    def ledger(self) -> Ledger:
        return self.books

    def look(self) -> list[str]:
        return told_otherwise(self, self.doors)  # type: ignore[arg-type]


def miscount(path: str, answer: Any) -> Any:
    if path == "/unread":
        answer["conversations"]["p1-2"]["unread"] = 2
    return answer


def show_an_old_last(path: str, answer: Any) -> Any:
    if path == "/unread":
        answer["conversations"]["p1-2"]["lastMessage"]["content"] = "older"
    return answer


def alter(path: str, answer: Any) -> Any:
    if path.endswith("/messages"):
        answer["messages"][0]["content"] = "altered"
    return answer


def shorten(path: str, answer: Any) -> Any:
    return {**answer, "messages": answer["messages"][1:]} if path.endswith("/messages") else answer


def hide(path: str, answer: Any) -> Any:
    return {"conversations": answer["conversations"][1:]} if path == "/conversations" else answer


def lag(path: str, answer: Any) -> Any:
    if path == "/conversations":
        answer["conversations"][0]["lastSeq"] -= 1
    return answer


LIES = {
    "unread": (1, miscount), "last": (1, show_an_old_last), "history, content": (0, alter), "history": (0, shorten),
    "list": (0, hide), "list, stand": (0, lag),
}  # fmt: skip


def test_nothing_is_found_where_all_are_told_the_truth() -> None:
    assert Town().look() == []


@pytest.mark.parametrize("name", LIES)
def test_what_one_worker_tells_otherwise_is_found(name: str) -> None:
    town = Town()
    place, lie = LIES[name]
    town.doors[place].lie = lie
    found = town.look()
    assert found
    assert {text.partition(":")[0] for text in found} == {name.partition(",")[0]}


def test_a_group_that_one_left_and_still_reads_is_found() -> None:
    town = Town()
    for door in town.doors:
        door._answer = lambda path, data, door=door: (  # type: ignore[method-assign,misc]
            {"messages": [told(row(1, "bob"), "g2")], "hasMore": False}
            if "g2" in path
            else Worker._answer(door, path, data)
        )
    assert [text for text in town.look() if "g2" in text and text.startswith("history")]


def test_what_was_said_once_and_stands_twice_is_found_whatever_its_local_ids() -> None:
    books = Town().books
    assert repeated(books) == []
    books["p1-2"].rows.append(replace(row(4), content=books["p1-2"].rows[0].content))
    books["g1"].name = books["g2"].name = "founded by ann"
    assert [text.partition(":")[0] for text in repeated(books)] == ["repeated", "repeated"]


def test_what_was_refused_and_stands_there_is_found() -> None:
    books = Town().books
    assert refused_but_there(books, [("ann", "never"), ("bob", "text 1 ")]) == []
    assert refused_but_there(books, [("bob", "text 3")])
    conflict: Entry = replace(row(4), content="something else")
    books["p1-2"].rows.append(conflict)
    assert refused_but_there(books, [])
