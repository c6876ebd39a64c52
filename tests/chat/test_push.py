"""Which conversations Celery is told of: those that got messages, a burst once, and none while push is off."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from chat import push as push_module
from chat.frames import CONVERSATION, USER, Event
from chat.push import Push
from tests.chat.world import DEFAULTS

ON = DEFAULTS | {"PUSH_WEBHOOK_URL": "https://push.example"}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    tasks: list[list[int]] = []

    def send(task: str, arguments: tuple[Any, ...], **options: Any) -> bool:
        assert (task, options) == ("tasks.pushes.find", {"expires": 60})
        tasks.append(arguments[0])
        return True

    monkeypatch.setattr(push_module.queue, "send", send)
    monkeypatch.setattr(push_module, "EVERY", 0.01)
    return tasks


@pytest.fixture
def push() -> Iterator[Push]:
    made = Push(ON)
    running = gevent.spawn(made.loops["push"])
    yield made
    running.kill()


def message(room: int, name: str = "message") -> Event:
    return Event(name, b"{}", CONVERSATION, room, change=1, seq=1)


def test_it_is_off_unless_a_channel_is_set() -> None:
    assert not Push(DEFAULTS).on
    assert Push(DEFAULTS).loops == {}
    assert Push(ON).on


def test_a_burst_is_one_task_that_names_each_conversation_once(push: Push, sent: list[list[int]]) -> None:
    push.note([message(1), message(2)])
    push.note([message(1), message(3, "message.updated"), Event("unread", b"{}", USER, 4)])
    gevent.sleep(0.05)
    assert sent == [[1, 2]]
    push.note([message(1)])
    gevent.sleep(0.05)
    assert sent == [[1, 2], [1]]


def test_many_conversations_are_cut_into_tasks_and_bounded(
    push: Push, sent: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_module, "A_TASK", 3)
    monkeypatch.setattr(push_module, "MOST", 7)
    push.note(message(room) for room in range(10))
    gevent.sleep(0.05)
    assert sent == [[0, 1, 2], [3, 4, 5], [6]]
